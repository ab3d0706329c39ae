"""A fitted pipeline as files: ONNX for serving, skops beside it, and the check that they agree."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from ..config import ParitySettings
from ..errors import ProjectError
from .manifest import ParityRecord
from .model import INPUT_NAME, Scores

# Types that skops does not know to be harmless and that our estimators are made of. The list is
# code, so that a file cannot widen it.
TRUSTED_TYPES = (
    "numpy.dtype",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.tree._tree.Tree",
)

_OPSET = 17
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_onnx(pipeline: Pipeline, features: int, path: Path) -> None:
    """Write a pipeline from a float32 matrix, (rows, `features`), to scores.

    Raises:
        ProjectError: skl2onnx cannot convert it.
    """
    estimator = pipeline.steps[-1][1]
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    try:
        model = to_onnx(
            pipeline,
            initial_types=[(INPUT_NAME, FloatTensorType([None, features]))],
            options=options,
            target_opset=_OPSET,
        )
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"The model does not convert to ONNX: {reason}") from error
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_skops(pipeline: Pipeline, path: Path) -> None:
    """Write a pipeline without pickle; the same pipeline gives the same bytes."""
    content = zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline)))
    names = {name: f"{place:04}{Path(name).suffix}" for place, name in enumerate(_array_names(content))}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in content.namelist():
            data = content.read(name)
            if name == "schema.json":
                data = json.dumps(_renumber(json.loads(data), names)).encode()
            information = zipfile.ZipInfo(names.get(name, name), _ZIP_EPOCH)
            information.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(information, data)


def load_skops(path: Path) -> Pipeline:
    """Load a pipeline that `write_skops` wrote.

    Raises:
        ProjectError: the file holds a type that is not in `TRUSTED_TYPES`.
    """
    unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES))
    if unknown:
        raise ProjectError(
            f"{path} holds types that are not trusted: {', '.join(unknown)}. "
            "If you know them to be harmless, add them to TRUSTED_TYPES in modeling/export.py."
        )
    return skops.io.load(path, trusted=list(TRUSTED_TYPES))


def compare_scores(onnx: Scores, sklearn: Scores, target: NDArray[Any], settings: ParitySettings) -> ParityRecord:
    """How far two models' scores for the same rows are apart; fails closed on NaN and on a changed label."""
    is_classification = sklearn.ndim == 2
    if onnx.shape != sklearn.shape:
        return ParityRecord(
            rows=len(sklearn),
            largest_difference=0,
            share_beyond_tolerance=1,
            label_changes=0,
            passed=False,
            reason=f"ONNX gives scores of shape {onnx.shape}, scikit-learn {sklearn.shape}",
        )
    differences = np.abs(onnx.astype(np.float64) - sklearn.astype(np.float64))
    if is_classification:
        differences = differences.max(axis=1)
        changes = _count_label_changes(onnx, sklearn, settings.tolerance)
    else:
        differences = differences / (float(np.std(target)) or 1.0)
        changes = 0
    within = differences <= settings.tolerance
    share = 1 - float(np.mean(within))
    largest = float(np.max(np.nan_to_num(differences, nan=np.finfo(np.float64).max)))
    reasons = []
    if changes:
        reasons.append(f"ONNX changes the label of {changes} of {len(sklearn)} held-out rows")
    if share > settings.maximum_share:
        reasons.append(
            f"{share:.2%} of the held-out rows are further apart than parity.tolerance {settings.tolerance:g} "
            f"(parity.maximum_share allows {settings.maximum_share:.2%}; largest difference {largest:.3g})"
        )
    return ParityRecord(
        rows=len(sklearn),
        largest_difference=largest,
        share_beyond_tolerance=share,
        label_changes=changes,
        passed=not reasons,
        reason="; ".join(reasons),
    )


def _count_label_changes(onnx: Scores, sklearn: Scores, tolerance: float) -> int:
    # Where two labels are as likely as each other, as the votes of a forest often are, either is right.
    rows = np.arange(len(sklearn))
    margins = sklearn.max(axis=1) - sklearn[rows, onnx.argmax(axis=1)]
    return int(np.count_nonzero(margins > tolerance))


def _array_names(content: zipfile.ZipFile) -> list[str]:
    schema = content.read("schema.json").decode()
    arrays = [name for name in content.namelist() if name != "schema.json"]
    return sorted(arrays, key=schema.index)


def _renumber(value: Any, names: dict[str, str], seen: dict[int, int] | None = None) -> Any:
    # skops numbers objects by their address in memory, which differs from run to run.
    seen = {} if seen is None else seen
    if isinstance(value, dict):
        return {
            key: seen.setdefault(item, len(seen)) if key == "__id__" else _renumber(item, names, seen)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renumber(item, names, seen) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
