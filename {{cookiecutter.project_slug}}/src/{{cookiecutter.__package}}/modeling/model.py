"""A model: columns in, probabilities or values out, as evaluation, batch and API load it, and its golden rows.

Golden rows are a few rows such as the training has, with the features and scores that they gave. Hashes tell that no
file changed; only these tell that the feature code did.
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
from .manifest import GOLDEN_FILE, ONNX_FILE, Manifest, check_artifacts, read_manifest

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

    Raises CodeChangedError where it does not, or was made without ONNX by an older release, and ProjectError where a
    file is missing or damaged.
    """
    manifest = read_manifest(folder)
    check_artifacts(folder, manifest)
    name = manifest.version or folder.name
    remedy = f"restore the code{f' of commit {manifest.commit}' if manifest.commit else ''}, or train and promote again"
    if ONNX_FILE not in manifest.files:
        raise CodeChangedError(f"{name} has no {ONNX_FILE}: scikit-learn served it formerly; train and promote again.")
    try:
        plan = plan_features(manifest.table, manifest.derived)
    except ProjectError as error:
        raise CodeChangedError(f"{name} does not fit the present feature code, {remedy}: {error}") from error
    if plan.names != manifest.features:
        raise CodeChangedError(f"{name} was made by other feature engineering than this package has: {remedy}.")
    model = Model(manifest, plan, load_onnx(folder / ONNX_FILE, bool(manifest.labels), threads))
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


def write_golden(folder: Path, model: Model, training: Columns, target: NDArray[Any]) -> None:
    """Write the golden rows of a model: examples of each column of the training rows; the last lacks what may be."""
    columns = model.manifest.table.features
    examples = [make_examples(column, training[name], _GOLDEN_ROWS) for name, column in columns.items()]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*examples, strict=True)]
    rows[-1] |= {name: None for name, column in columns.items() if column.nullable}
    features = engineer_features(RowReader(model.manifest.table).read(rows), model.plan)
    spread = 1.0 if model.manifest.labels else float(np.std(target)) or 1.0
    scores, tolerance = model.score(features).tolist(), _TOLERANCE * spread
    golden = {"rows": rows, "features": features.tolist(), "scores": scores, "tolerance": tolerance}
    write_bytes(folder / GOLDEN_FILE, to_json(golden, inf_nan_mode="null") + b"\n")


def describe_typical(schema: Schema, columns: Columns) -> dict[str, Any]:
    """A usual row, as the API takes it: medians, or what is most frequent, but no text that somebody wrote."""
    known = {name: None if column.type == "text" else columns[name] for name, column in schema.features.items()}
    return {name: make_examples(column, known[name])[0] for name, column in schema.features.items()}


def make_examples(column: Column, values: NDArray[Any] | None = None, count: int = 1) -> list[Any]:
    """So many usual ones of a column's values, as the API takes them: quantiles, or what is most frequent.

    Of a sensitive column, or where there are no values, they are made up of what the schema permits.
    """
    present = _permit(column) if values is None or column.sensitive else values[~is_missing(values)]
    if not len(present):
        present = _permit(column)
    if column.is_numeric or column.type == "timestamp":
        usual = np.quantile(present, (np.arange(count) + 0.5) / count).tolist()
        if column.type == "timestamp":
            return [tell_time(days, column.format) for days in usual]
        return [round(value) for value in usual] if column.type == "integer" else usual
    frequent = [value for value, _ in Counter(present.tolist()).most_common(count)]
    usual = [frequent[place % len(frequent)] for place in range(count)]
    if column.is_string:
        return usual
    return [column.categories[code] if column.categories else bool(code) for code in usual]


def _permit(column: Column) -> NDArray[Any]:
    """Some values as `Columns` have them: of numbers and times the first and the last, of others all that are named."""
    if column.is_string:
        return np.array(["text"], dtype=object)
    if column.type == "timestamp":
        return np.array([0, 40_000.0])  # until 2079
    if not column.is_numeric:
        return np.arange(len(column.categories) or 2)
    low = column.minimum if column.minimum is not None else (column.maximum or 1) - 1
    return np.array([low, low + 1 if column.maximum is None else column.maximum])


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
