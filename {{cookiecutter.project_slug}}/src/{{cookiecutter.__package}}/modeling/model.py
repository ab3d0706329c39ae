"""A model: columns in, probabilities or values out, as evaluation, batch and API load it, and its golden rows.

Golden rows are a few training rows with the features and scores that they gave. Hashes tell that no file changed;
only these tell that the feature code did.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from ..errors import CodeChangedError, ProjectError
from ..features import Columns, FeaturePlan, RowReader, engineer_features, is_missing, plan_features, tell_time
from ..files import write_bytes
from ..schema import Column, Schema
from .manifest import GOLDEN_FILE, ONNX_FILE, SKOPS_FILE, Manifest, check_artifacts, read_manifest

_GOLDEN_ROWS = 8
# Of a probability, and of a value in standard deviations of the target: what another processor may make of float32.
_TOLERANCE = 1e-4
_FEATURE_TOLERANCE = 1e-5

Scores = NDArray[np.floating[Any]]
ScoreFunction = Callable[[NDArray[np.float32]], Scores]


@dataclass(frozen=True)
class Model:
    """A model that was checked and loaded."""

    manifest: Manifest
    plan: FeaturePlan
    score: ScoreFunction

    def predict(self, columns: Columns) -> Scores:
        """Probabilities, (rows, labels), each row summing to 1; or values, (rows,), in the target's unit."""
        return self.score(engineer_features(columns, self.plan))


def choose_places(probabilities: Scores, weights: Sequence[float] = ()) -> NDArray[np.int64]:
    """The decision: of each row's probabilities, (rows, labels), the place of the label that it gets.

    That is the label whose probability times its weight is largest; without weights the likeliest one.
    """
    places: NDArray[np.int64] = (probabilities * np.array(weights) if weights else probabilities).argmax(axis=1)
    return places


def load_model(folder: Path, threads: int = 1) -> Model:
    """Load a candidate or version, once its hashes are right and it scores its golden rows as it did.

    Raises CodeChangedError where it does not, and ProjectError where a file is missing or damaged, or the runtime is
    not installed.
    """
    manifest = read_manifest(folder)
    check_artifacts(folder, manifest)
    name = manifest.version or folder.name
    remedy = f"restore the code{f' of commit {manifest.commit}' if manifest.commit else ''}, or train and promote again"
    try:
        plan = plan_features(manifest.table, manifest.derived)
    except ProjectError as error:
        raise CodeChangedError(f"{name} does not fit the present feature code, {remedy}: {error}") from error
    if plan.names != manifest.features:
        raise CodeChangedError(f"{name} was made by other feature engineering than this package has: {remedy}.")
    if manifest.runtime == "onnx":
        score = load_onnx(folder / ONNX_FILE, bool(manifest.labels), threads)
    else:
        try:
            score = score_with_pipeline(load_skops(folder / SKOPS_FILE), bool(manifest.labels))
        except ImportError as error:
            raise ProjectError(
                f"{folder} is served by scikit-learn ({manifest.parity.reason}); "
                "install the `training` extra, or promote a model that exports to ONNX."
            ) from error
    model = Model(manifest, plan, score)
    # Versions that were made before there were golden rows have none.
    change = _find_change(folder / GOLDEN_FILE, model) if GOLDEN_FILE in manifest.files else ""
    if change:
        raise CodeChangedError(f"{name} does not score as it did at its training ({change}): {remedy}.")
    return model


def load_onnx(path: Path, is_classification: bool, threads: int = 1) -> ScoreFunction:
    """The ONNX model as a function from the feature matrix to scores: its last output.

    Raises ProjectError where onnxruntime cannot load the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # a blend's converter leaves constants that nothing uses, which is no news
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ProjectError(f"{path} cannot be loaded by onnxruntime: {error}") from error
    given, outputs = session.get_inputs()[0].name, [session.get_outputs()[-1].name]

    def score(matrix: NDArray[np.float32]) -> Scores:
        result: Scores = session.run(outputs, {given: matrix})[0]
        return result if is_classification else result.reshape(-1)

    return score


def load_skops(path: Path) -> Any:
    """The scikit-learn pipeline in a skops file. Raises ProjectError where it holds a type that is not trusted."""
    import skops.io

    from .estimators import ESTIMATORS, TRUSTED

    trusted = {*TRUSTED, *(name for kinds in ESTIMATORS.values() for kind in kinds.values() for name in kind.trusted)}
    unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - trusted)
    if unknown:
        raise ProjectError(
            f"{path} holds types that are not trusted: {', '.join(unknown)}. If you know them to be harmless, "
            "add them to `trusted` of the estimator in ESTIMATORS of modeling/estimators.py, where one that "
            "config/model.yaml names by its import path needs an entry first (docs/guides/extending.md)."
        )
    return skops.io.load(path, trusted=sorted(trusted))


def score_with_pipeline(pipeline: Any, is_classification: bool) -> ScoreFunction:
    """A fitted scikit-learn pipeline as a function from the feature matrix to scores."""
    return pipeline.predict_proba if is_classification else pipeline.predict  # type: ignore[no-any-return]


def write_golden(
    folder: Path, model: Model, training: Columns, matrix: NDArray[np.float32], target: NDArray[Any]
) -> None:
    """Write the golden rows of a model, with made-up values of what is permitted for a sensitive column.

    `matrix` has the features of `training`, `target` what is true of it.
    """
    # From the row that lacks nothing to the one that lacks most.
    order = np.argsort(np.isnan(matrix).sum(axis=1), kind="stable")
    places = order[np.unique(np.linspace(0, len(order) - 1, _GOLDEN_ROWS).round().astype(int))]
    table = model.manifest.table
    values = [
        _spread_permitted(column, len(places)) if column.sensitive else _show(column, training[name][places])
        for name, column in table.features.items()
    ]
    rows = [dict(zip(table.features, row, strict=True)) for row in zip(*values, strict=True)]
    features = engineer_features(RowReader(table).read(rows), model.plan)
    spread = 1.0 if model.manifest.labels else float(np.std(target)) or 1.0
    scores, tolerance = model.score(features).tolist(), _TOLERANCE * spread
    golden = {"rows": rows, "features": features.tolist(), "scores": scores, "tolerance": tolerance}
    write_bytes(folder / GOLDEN_FILE, to_json(golden, inf_nan_mode="null") + b"\n")


def describe_typical(schema: Schema, columns: Columns) -> dict[str, Any]:
    """A usual value of each feature, as the API takes it: the median, or what is most frequent; None where none is.

    Of a sensitive column it is the middle of what is permitted, which tells nothing of the data.
    """
    return {
        name: find_permitted(column) if column.sensitive else _find_usual(column, columns[name])
        for name, column in schema.features.items()
    }


def _find_usual(column: Column, values: NDArray[Any]) -> Any:
    present = values[~is_missing(values)]
    if not len(present):
        return None
    if column.is_numeric or column.type == "timestamp":
        usual, count = np.median(present), len(present)
    else:
        [(usual, count)] = Counter(present.tolist()).most_common(1)
    if column.is_string and count == 1:
        return None
    shown = _show(column, np.array([usual], dtype=present.dtype))[0]
    return round(shown) if column.type == "integer" else shown


def find_permitted(column: Column) -> Any:
    """A value that the schema permits: the middle of the range, the first category; None for strings and times."""
    return None if column.is_string or column.type == "timestamp" else _spread_permitted(column, 1)[0]


def _show(column: Column, values: NDArray[Any]) -> list[Any]:
    """Values as a file or the API has them, None where one is missing."""
    shown = [None if absent else value for value, absent in zip(values.tolist(), is_missing(values), strict=True)]
    if column.categories:
        return [None if code is None else column.categories[code] for code in shown]
    if column.type == "timestamp":
        return [None if days is None else tell_time(days, column.format) for days in shown]
    return [None if value is None else bool(value) for value in shown] if column.type == "boolean" else shown


def _spread_permitted(column: Column, count: int) -> list[Any]:
    """Made-up values, spread over what the schema permits; of one it is the middle, or the first."""
    if column.is_string:
        return [f"made up {place}" for place in range(count)]
    if column.categories or column.type == "boolean":
        known = column.categories or (True, False)
        return [known[place % len(known)] for place in range(count)]
    if column.type == "timestamp":
        return [tell_time(2500.5 * place, column.format) for place in range(count)]
    low = column.minimum if column.minimum is not None else (column.maximum or 1) - 1
    values = np.linspace(low, low + 1 if column.maximum is None else column.maximum, count + 2)[1:-1].tolist()
    return [round(value) for value in values] if column.type == "integer" else values


def _find_change(path: Path, model: Model) -> str:
    """What differs from what the golden rows say, in words; empty where all is as it was."""
    golden = from_json(path.read_bytes())
    matrix = engineer_features(RowReader(model.manifest.table).read(golden["rows"]), model.plan)
    features, outputs = [f"feature {name!r}" for name in model.plan.names], ["the value"]
    if model.manifest.labels:
        outputs = [f"the probability of {label!r}" for label in model.manifest.labels]
    for found, before, names, relative, absolute in (
        (matrix, golden["features"], features, _FEATURE_TOLERANCE, 0),
        (model.score(matrix), golden["scores"], outputs, 0, golden["tolerance"]),
    ):
        now, was = (np.array(values, dtype=np.float64).reshape(-1, len(names)) for values in (found, before))
        for row, place in np.argwhere(~np.isclose(now, was, rtol=relative, atol=absolute, equal_nan=True)):
            return f"golden row {row + 1}: {names[place]} was {was[row, place]:.6g} and is {now[row, place]:.6g}"
    return ""
