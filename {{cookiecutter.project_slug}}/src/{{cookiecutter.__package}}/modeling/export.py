"""A fitted pipeline as files, and the check that ONNX agrees with it; or an ONNX file from elsewhere in its place."""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import skops.io
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from ..config import ModelSettings, ParitySettings
from ..errors import ProjectError
from ..schema import Schema, Task
from ..terminal import get_logger
from .dataset import Rows
from .estimators import AUTO, ESTIMATORS, find_estimator
from .manifest import ONNX_FILE, SKOPS_FILE, ParityRecord
from .model import ScoreFunction, Scores, choose_places, load_onnx, load_skops, score_with_pipeline

# The second domain, of trees, is named for the converters of onnxmltools, which know no later version.
_OPSET = {"": 17, "ai.onnx.ml": 3}
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

_logger = get_logger(__name__)


def write_skops(pipeline: Pipeline, path: Path) -> None:
    """Write a pipeline as a skops file: no pickle, and the same pipeline gives the same bytes."""
    # skops names objects and arrays by their address in memory, or at random, which differs from run to run.
    content, numbers = zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline))), dict[str, str]()
    address = re.compile(r'(?<="__id__": )\d+|(?<=")[\w-]+(?=\.(?:npy|npz|bin)")')
    schema = content.read("schema.json").decode()
    schema = address.sub(lambda found: numbers.setdefault(found[0], str(len(numbers))), schema)
    with zipfile.ZipFile(path, "w") as archive:
        for old in map(Path, content.namelist()):
            new, data = numbers.get(old.stem, old.stem) + old.suffix, content.read(str(old))
            data = schema.encode() if new == "schema.json" else data
            archive.writestr(zipfile.ZipInfo(new, _ZIP_EPOCH), data, zipfile.ZIP_DEFLATED)


def check_convertible(task: Task, settings: ModelSettings) -> None:
    """Tell what skl2onnx does not know, before it is trained in vain.

    Raises ProjectError where the settings require ONNX, and it is known that there will be none.
    """
    names = ESTIMATORS[task] if settings.estimator == AUTO else [settings.estimator]
    kinds = {name: find_estimator(task, name) for name in names}
    problems = [name for name, kind in kinds.items() if type(kind.create()) not in sklearn_operator_name_map]
    if problems and settings.parity.required:
        raise ProjectError(
            f"config/model.yaml: {' and '.join(problems)} cannot become ONNX, which parity.required asks for: choose "
            "otherwise, register a converter (docs/guides/extending.md), or set parity.required to false, and "
            "scikit-learn serves it."
        )


def export_pipeline(
    pipeline: Pipeline, held_out: Rows, settings: ParitySettings, folder: Path, weights: Sequence[float] = ()
) -> tuple[ParityRecord, ScoreFunction]:
    """Write a fitted pipeline as files; how far ONNX is from it on held-out rows, and the function that scores.

    An ONNX file that is too far from it is removed, and scikit-learn scores. Raises ProjectError where it cannot.
    """
    (matrix, target), path = held_out, folder / ONNX_FILE
    is_classification = hasattr(pipeline, "predict_proba")
    expected = score_with_pipeline(pipeline, is_classification)
    options = {id(pipeline.steps[-1][1]): {"zipmap": False}} if is_classification else None
    types = [("features", FloatTensorType([None, matrix.shape[1]]))]
    write_skops(pipeline, folder / SKOPS_FILE)
    try:
        model = to_onnx(pipeline, initial_types=types, options=options, target_opset=_OPSET)
        path.write_bytes(model.SerializeToString(deterministic=True))
        score = load_onnx(path, is_classification)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        parity = ParityRecord(rows=len(target), reason=f"The model does not convert to ONNX: {reason}")
    else:
        parity = compare_scores(score(matrix), expected(matrix), target, settings, weights)
    if parity.passed:
        _logger.info("ONNX agrees with scikit-learn on %s held-out rows", parity.rows)
        return parity, score
    path.unlink(missing_ok=True)
    load_skops(folder / SKOPS_FILE)  # raises where it could not be served either
    _logger.warning("No ONNX: %s. This model is served by scikit-learn.", parity.reason.rstrip("."))
    return parity, expected


def compare_scores(
    found: Scores, expected: Scores, target: NDArray[Any], settings: ParitySettings, weights: Sequence[float] = ()
) -> ParityRecord:
    """How far ONNX's scores are from scikit-learn's for the same rows; fails closed on NaN and on a changed label."""
    rows, changes, reasons = len(expected), 0, []
    if found.shape != expected.shape:
        reason = f"ONNX gives scores of shape {found.shape}, scikit-learn {expected.shape}"
        return ParityRecord(rows=rows, reason=reason)
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
    if changes:
        reasons.append(f"ONNX changes the label of {changes} of {rows} held-out rows")
    if share > settings.maximum_share:
        reasons.append(
            f"{share:.2%} of the held-out rows are further apart than parity.tolerance {settings.tolerance:g} "
            f"(parity.maximum_share allows {settings.maximum_share:.2%}; largest difference {largest:.3g})"
        )
    record = ParityRecord(rows=rows, largest_difference=largest, share_beyond_tolerance=share, label_changes=changes)
    return record.model_copy(update={"passed": not reasons, "reason": "; ".join(reasons)})


def take_onnx(
    source: Path, target: Path, schema: Schema, present: tuple[str, ...], matrix: NDArray[np.float32]
) -> tuple[tuple[str, ...], ScoreFunction]:
    """Copy an ONNX file that was trained elsewhere, if it scores `matrix`; its labels, and the function that scores.

    Its probabilities are those of the schema's labels, or of `present` alone, those that the training rows have.
    Raises ProjectError where it cannot be read, takes another matrix, or gives no probabilities or values.
    """
    rows, features = matrix.shape
    try:
        model = onnx.load(source)  # weights that lie in files beside it become part of it
        target.write_bytes(model.SerializeToString(deterministic=True))
    except FileNotFoundError as error:
        raise ProjectError(f"{error.filename or source} does not exist.") from error
    except Exception as error:
        raise ProjectError(f"{source} cannot be read as an ONNX file: {' '.join(str(error).split())}") from error
    try:
        score = load_onnx(target, bool(schema.labels))
        scores, alone = np.asarray(score(matrix)), np.asarray(score(matrix[:1]))
    except Exception as error:
        raise ProjectError(
            f"{source} cannot score {rows} rows, or one, from a single input, float32 of shape [rows, {features}], a "
            f"column for each feature; did features in config/model.yaml change since? {' '.join(str(error).split())}"
        ) from error
    labels = present if scores.ndim == 2 and scores.shape[1] == len(present) else schema.labels
    problem = _find_problem(scores, alone, rows, labels)
    if problem:
        raise ProjectError(f"{source}: {problem}.")
    return labels, score


def _find_problem(scores: Scores, alone: Scores, rows: int, labels: tuple[str, ...]) -> str:
    wanted = (rows, len(labels)) if labels else (rows,)
    if scores.shape != wanted:
        what = f"a probability for each of {', '.join(map(repr, labels))}" if labels else "one value"
        return f"its last output has shape {scores.shape} for {rows} rows; it must give {what}, {wanted}"
    bad = int(np.count_nonzero(~np.isfinite(scores.reshape(rows, -1)).all(axis=1)))
    if bad:
        return f"it gives no finite number for {bad} of {rows} rows; a missing number reaches it as NaN"
    sums = scores.sum(axis=1) if labels else np.ones(1)
    if labels and (scores.min() < 0 or np.abs(sums - 1).max() > 1e-3):
        return f"its last output is no probabilities: rows sum to {sums.min():.4g} to {sums.max():.4g}; add a softmax"
    if not np.allclose(alone, scores[:1], rtol=1e-3, atol=1e-4):
        return "it scores a row otherwise when it is alone; export it in evaluation mode"
    return ""
