"""A fitted pipeline as an ONNX file, and the check that the two agree."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from ..config import ParitySettings
from ..errors import ProjectError
from .manifest import ParityRecord
from .model import INPUT_NAME, Scores, choose_places, load_onnx, score_with_pipeline

# The second domain, of trees, is named for the converters of onnxmltools, which know no later version.
_OPSET = {"": 17, "ai.onnx.ml": 3}


def export_onnx(
    pipeline: Pipeline, matrix: NDArray[np.float32], target: NDArray[Any], settings: ParitySettings, path: Path
) -> ParityRecord:
    """Write the ONNX file and compare it with the pipeline on held-out rows; a file that differs is removed."""
    is_classification = hasattr(pipeline, "predict_proba")
    try:
        write_onnx(pipeline, matrix.shape[1], path)
        onnx = load_onnx(path, is_classification)(matrix)
        record = compare_scores(onnx, score_with_pipeline(pipeline, is_classification)(matrix), target, settings)
    except ProjectError as error:
        record = ParityRecord(rows=len(target), reason=str(error))
    if not record.passed:
        path.unlink(missing_ok=True)
    return record


def write_onnx(pipeline: Pipeline, features: int, path: Path) -> None:
    """Write a pipeline from a float32 matrix, (rows, `features`), to scores.

    Raises ProjectError where skl2onnx cannot convert it.
    """
    estimator = pipeline.steps[-1][1]
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    types = [(INPUT_NAME, FloatTensorType([None, features]))]
    try:
        model = to_onnx(pipeline, initial_types=types, options=options, target_opset=_OPSET)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"The model does not convert to ONNX: {reason}") from error
    path.write_bytes(model.SerializeToString(deterministic=True))


def compare_scores(onnx: Scores, sklearn: Scores, target: NDArray[Any], settings: ParitySettings) -> ParityRecord:
    """How far two models' scores for the same rows are apart; fails closed on NaN and on a changed label."""
    rows = len(sklearn)
    if onnx.shape != sklearn.shape:
        reason = f"ONNX gives scores of shape {onnx.shape}, scikit-learn {sklearn.shape}"
        return ParityRecord(rows=rows, reason=reason)
    differences = np.abs(onnx.astype(np.float64) - sklearn.astype(np.float64))
    changes = 0
    if sklearn.ndim == 2:
        differences = differences.max(axis=1)
        # Where two labels are as likely as each other, as the votes of a forest often are, either is right.
        margins = sklearn.max(axis=1) - sklearn[np.arange(rows), choose_places(onnx)]
        changes = int(np.count_nonzero(margins > settings.tolerance))
    else:
        differences = differences / (float(np.std(target)) or 1.0)
    share = 1 - float(np.mean(differences <= settings.tolerance))
    largest = float(np.max(np.nan_to_num(differences, nan=np.finfo(np.float64).max)))
    reasons = []
    if changes:
        reasons.append(f"ONNX changes the label of {changes} of {rows} held-out rows")
    if share > settings.maximum_share:
        reasons.append(
            f"{share:.2%} of the held-out rows are further apart than parity.tolerance {settings.tolerance:g} "
            f"(parity.maximum_share allows {settings.maximum_share:.2%}; largest difference {largest:.3g})"
        )
    return ParityRecord(
        rows=rows,
        largest_difference=largest,
        share_beyond_tolerance=share,
        label_changes=changes,
        passed=not reasons,
        reason="; ".join(reasons),
    )
