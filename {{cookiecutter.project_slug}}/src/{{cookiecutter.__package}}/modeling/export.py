"""A fitted pipeline as ONNX, and the check that the two agree; or an ONNX file from elsewhere in its place."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from ..config import ParitySettings
from ..errors import ProjectError
from ..schema import Schema
from .dataset import Rows
from .manifest import ParityRecord
from .model import ScoreFunction, Scores, choose_places, load_onnx

# The second domain, of trees, is named for the converters of onnxmltools, which know no later version.
_OPSET = {"": 17, "ai.onnx.ml": 3}

_logger = logging.getLogger(__name__)


def export_pipeline(
    pipeline: Pipeline, held_out: Rows, settings: ParitySettings, path: Path, weights: Sequence[float] = ()
) -> tuple[ParityRecord, ScoreFunction]:
    """Write a fitted pipeline as an ONNX file; how far that is from it on held-out rows, and the function that scores.

    Raises ProjectError where it does not convert, or the two are too far apart.
    """
    matrix, target = held_out
    is_classification = hasattr(pipeline, "predict_proba")
    expected = pipeline.predict_proba(matrix) if is_classification else pipeline.predict(matrix)
    options = {id(pipeline.steps[-1][1]): {"zipmap": False}} if is_classification else None
    types = [("features", FloatTensorType([None, matrix.shape[1]]))]
    try:
        model = to_onnx(pipeline, initial_types=types, options=options, target_opset=_OPSET)
        path.write_bytes(model.SerializeToString(deterministic=True))
        score = load_onnx(path, is_classification)
        found = score(matrix)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"The model does not convert to ONNX; choose another estimator: {reason}") from error
    parity = compare_scores(found, expected, target, settings, weights)
    _logger.info("ONNX agrees with scikit-learn on %s held-out rows", parity.rows)
    return parity, score


def compare_scores(
    found: Scores, expected: Scores, target: NDArray[Any], settings: ParitySettings, weights: Sequence[float] = ()
) -> ParityRecord:
    """How far ONNX's scores are from scikit-learn's for the same rows.

    Raises ProjectError where too many are too far apart, or no number, or a label differs.
    """
    rows, changes = len(expected), 0
    if found.shape != expected.shape:
        raise ProjectError(f"ONNX gives scores of shape {found.shape}, scikit-learn {expected.shape}.")
    differences = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    if expected.ndim == 2:
        differences = differences.max(axis=1)
        # Where two labels are as likely as each other, as the votes of a forest often are, either is right.
        likelihoods = expected * (np.array(weights) * len(weights) if weights else 1)
        margins = likelihoods.max(axis=1) - likelihoods[np.arange(rows), choose_places(found, weights)]
        changes = int(np.count_nonzero(margins > settings.tolerance))
    else:
        differences = differences / (float(np.std(target)) or 1.0)
    share = 1 - float(np.mean(differences <= settings.tolerance))
    largest = float(np.max(np.nan_to_num(differences, nan=np.finfo(np.float64).max)))
    if changes or share > settings.maximum_share:
        raise ProjectError(
            f"ONNX, which serves, differs from scikit-learn: of {rows} held-out rows, {changes} get another label, and "
            f"{share:.2%} are further apart than parity.tolerance {settings.tolerance:g} (at most {largest:.3g}); "
            f"parity.maximum_share allows {settings.maximum_share:.2%}. Choose another estimator, or raise parity in "
            "config/model.yaml if such a difference does no harm."
        )
    return ParityRecord(rows=rows, largest_difference=largest)


def take_onnx(
    source: Path, target: Path, schema: Schema, present: tuple[str, ...], matrix: NDArray[np.float32]
) -> tuple[tuple[str, ...], ScoreFunction]:
    """Copy an ONNX file that was trained elsewhere, if it scores `matrix`; its labels, and the function that scores.

    Its probabilities are those of the schema's labels, or of `present` alone, those that the training rows have.
    Raises ProjectError where it cannot be read, takes another matrix, or gives no probabilities or values.
    """
    rows, features = matrix.shape
    try:
        onnx.save(onnx.load(source), target)  # weights that lie in files beside it become part of it
        score = load_onnx(target, bool(schema.labels))
        scores, alone = np.asarray(score(matrix)), np.asarray(score(matrix[:1]))
    except Exception as error:
        raise ProjectError(
            f"{source} is no ONNX file that scores {rows} rows, or one, from a single input, float32 of shape "
            f"[rows, {features}], a column for each feature of config/model.yaml: {' '.join(str(error).split())}"
        ) from error
    labels = present if scores.ndim == 2 and scores.shape[1] == len(present) else schema.labels
    wanted, problem = (rows, len(labels)) if labels else (rows,), ""
    if scores.shape != wanted:
        problem = f"has shape {scores.shape}; it must be {wanted}, a probability for each label of a row, or its value"
    elif not np.isfinite(scores).all():
        problem = "is not always a finite number; a missing number reaches the model as NaN"
    elif labels and (scores.min() < 0 or np.abs(scores.sum(axis=1) - 1).max() > 1e-3):
        problem = "is no probabilities: rows do not sum to 1; add a softmax"
    elif not np.allclose(alone, scores[:1], rtol=1e-3, atol=1e-4):
        problem = "differs for a row that is alone; export it in evaluation mode"
    if problem:
        raise ProjectError(f"{source}: its last output {problem}.")
    return labels, score
