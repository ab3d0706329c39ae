"""Golden rows: a few training rows with the features and scores that they gave, by which a version knows its code.

Hashes tell that no file changed; only these tell that the feature code did.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..features import MISSING_CODE, Columns, FeaturePlan, RowReader, engineer_features
from ..files import write_bytes
from ..schema import Column, Schema
from .manifest import GOLDEN_FILE

ROWS = 8

# Of a probability, and of a value in standard deviations of the target: what another processor may make of float32.
_TOLERANCE = 1e-4
_FEATURE_TOLERANCE = 1e-5

_Score = Callable[[NDArray[np.float32]], NDArray[Any]]


class Golden(BaseModel):
    """`features` and `scores` have a row for each of `rows`; `tolerance` has the unit of the scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: list[dict[str, float | str | None]]
    features: list[list[float | None]]
    scores: list[float | None] | list[list[float | None]]
    tolerance: float


def write_golden(
    folder: Path,
    schema: Schema,
    plan: FeaturePlan,
    training: Columns,
    matrix: NDArray[np.float32],
    score: _Score,
    spread: float,
) -> str:
    """Write the file of a model; its name.

    `matrix` has the features of `training`; `spread` is the target's standard deviation, 1 for a classification. A
    sensitive column gets made-up values from its permitted range.
    """
    # From the row that lacks nothing to the one that lacks most.
    order = np.argsort(np.isnan(matrix).sum(axis=1), kind="stable")
    places = order[np.unique(np.linspace(0, len(order) - 1, ROWS).round().astype(int))]
    generator = np.random.default_rng(0)
    values = {
        name: _show(column, _invent(column, len(places), generator) if column.sensitive else training[name][places])
        for name, column in schema.features.items()
    }
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    features = engineer_features(RowReader(schema).read(rows), plan)
    scores, tolerance = score(features).tolist(), _TOLERANCE * (spread or 1)
    golden = Golden(rows=rows, features=features.tolist(), scores=scores, tolerance=tolerance)
    write_bytes(folder / GOLDEN_FILE, (golden.model_dump_json() + "\n").encode())
    return GOLDEN_FILE


def find_change(path: Path, schema: Schema, plan: FeaturePlan, labels: tuple[str, ...], score: _Score) -> str:
    """What differs from what the file says, in words; empty where all is as it was."""
    golden = Golden.model_validate_json(path.read_bytes())
    matrix = engineer_features(RowReader(schema).read(golden.rows), plan)
    features = np.array(golden.features, dtype=np.float32)
    same = np.isclose(matrix, features, rtol=_FEATURE_TOLERANCE, atol=0, equal_nan=True)
    if not same.all():
        row, place = np.argwhere(~same)[0]
        was, found = features[row, place], matrix[row, place]
        return f"golden row {row + 1}: feature {plan.names[place]!r} was {was:.6g} and is {found:.6g}"
    scores = score(matrix).reshape(len(matrix), -1)
    former = np.array(golden.scores, dtype=np.float64).reshape(scores.shape)
    same = np.isclose(scores, former, rtol=0, atol=golden.tolerance, equal_nan=True)
    if not same.all():
        row, place = np.argwhere(~same)[0]
        what = f"the probability of {labels[place]!r}" if labels else "the value"
        return f"golden row {row + 1}: {what} was {former[row, place]:.6g} and is {scores[row, place]:.6g}"
    return ""


def _show(column: Column, values: NDArray[Any]) -> list[float | str | None]:
    if column.type == "category":
        return [None if code == MISSING_CODE else column.categories[code] for code in values.tolist()]
    return [None if np.isnan(value) else value for value in values.tolist()]


def _invent(column: Column, count: int, generator: np.random.Generator) -> NDArray[Any]:
    if column.type == "category":
        return generator.integers(0, len(column.categories), count)
    if column.type == "boolean":
        return generator.integers(0, 2, count).astype(float)
    low = column.minimum if column.minimum is not None else (column.maximum or 1) - 1
    values = generator.uniform(low, low + 1 if column.maximum is None else column.maximum, count)
    return values.round() if column.type == "integer" else values
