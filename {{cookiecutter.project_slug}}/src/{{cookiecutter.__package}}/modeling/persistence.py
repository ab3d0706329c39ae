"""A fitted pipeline as a skops file: no pickle, and the same pipeline gives the same bytes."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import skops.io
from sklearn.pipeline import Pipeline

from ..errors import ProjectError
from .estimators import ESTIMATORS

# What every pipeline may hold that skops does not know to be harmless. This and `EstimatorKind.trusted` are code, so
# that a file cannot widen them.
_TRUSTED = (
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
)
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_skops(pipeline: Pipeline, path: Path) -> None:
    """Write a pipeline."""
    content = zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline)))
    schema = content.read("schema.json").decode()
    arrays = sorted((name for name in content.namelist() if name != "schema.json"), key=schema.index)
    names = {name: f"{place:04}{Path(name).suffix}" for place, name in enumerate(arrays)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in content.namelist():
            data = content.read(name)
            if name == "schema.json":
                data = json.dumps(_renumber(json.loads(data), names, {})).encode()
            information = zipfile.ZipInfo(names.get(name, name), _ZIP_EPOCH)
            information.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(information, data)


def load_skops(path: Path) -> Pipeline:
    """Load a pipeline that `write_skops` wrote. Raises ProjectError where it holds a type that is not trusted."""
    trusted = {*_TRUSTED, *(name for kinds in ESTIMATORS.values() for kind in kinds.values() for name in kind.trusted)}
    unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - trusted)
    if unknown:
        raise ProjectError(
            f"{path} holds types that are not trusted: {', '.join(unknown)}. If you know them to be harmless, "
            "add them to `trusted` of the estimator in modeling/estimators.py."
        )
    return skops.io.load(path, trusted=sorted(trusted))


def _renumber(value: Any, names: dict[str, str], seen: dict[int, int]) -> Any:
    # skops numbers objects by their address in memory, which differs from run to run.
    if isinstance(value, dict):
        return {
            key: seen.setdefault(item, len(seen)) if key == "__id__" else _renumber(item, names, seen)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renumber(item, names, seen) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
