"""From columns to the feature matrix: the one function that training, batch and the API share.

Numbers, integers and booleans are float64 arrays, NaN where missing; categories are int64 codes,
the index in the schema's categories, -1 where missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .config import DerivedFeature
from .errors import ProjectError
from .schema import Schema

if TYPE_CHECKING:
    import polars as pl

Columns = dict[str, NDArray[Any]]

MISSING_CODE = -1


class RowReader:
    """Turns rows that the schema accepted into columns; made once a model, called once a request."""

    def __init__(self, schema: Schema) -> None:
        self._codes: dict[str, dict[str | None, int] | None] = dict.fromkeys(schema.features)
        for name, column in schema.features.items():
            if column.type == "category":
                self._codes[name] = {None: MISSING_CODE} | {text: code for code, text in enumerate(column.categories)}

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Columns:
        """The features of `rows`; a column that a row leaves out counts as missing."""
        columns: Columns = {}
        for name, codes in self._codes.items():
            values = [row.get(name) for row in rows]
            if codes is None:
                columns[name] = np.array(values, dtype=np.float64)
            else:
                columns[name] = np.array([codes[value] for value in values], dtype=np.int64)
        return columns


def columns_from_frame(schema: Schema, frame: "pl.DataFrame") -> Columns:
    """The features of a frame that cleaning made; categories are of the schema's own Enum type."""
    return {
        name: frame[name].to_physical().cast(int).fill_null(MISSING_CODE).to_numpy()
        if column.type == "category"
        else frame[name].cast(float).fill_null(float("nan")).to_numpy()
        for name, column in schema.features.items()
    }


_Numbers = NDArray[np.float64]

OPERATIONS: dict[str, Callable[..., _Numbers]] = {
    "ratio": lambda left, right: left / right,
    "product": lambda left, right: left * right,
    "difference": lambda left, right: left - right,
    "log1p": np.log1p,
}
"""What `operation` of a derived feature may name: a function of as many columns as it has arguments.

It gets arrays of float64, (rows,), NaN where missing, and gives one such array, each row's value from that row
alone. What is not finite counts as missing.
"""


@dataclass(frozen=True)
class FeaturePlan:
    """Which feature stands in which place of the matrix.

    `codes` are the places that hold the hash of a value, a number that only tells equal from different; `texts`
    where the hashed pieces of a text begin and end. The scikit-learn pipeline learns what they mean.
    """

    names: tuple[str, ...]
    numeric: tuple[tuple[int, str], ...]
    missing: tuple[tuple[int, str], ...]
    categories: tuple[tuple[int, str, int], ...]
    derived: tuple[tuple[int, DerivedFeature], ...]
    codes: tuple[int, ...] = ()
    texts: tuple[tuple[int, int], ...] = ()


def plan_features(schema: Schema, derived: tuple[DerivedFeature, ...] = ()) -> FeaturePlan:
    """Lay out the matrix: numbers, a flag for each number that may be missing, one place a category, then `derived`.

    Raises ProjectError where a derived feature has no such operation, operands or name.
    """
    names: list[str] = []
    numeric: list[tuple[int, str]] = []
    missing: list[tuple[int, str]] = []
    categories: list[tuple[int, str, int]] = []
    for name, column in schema.features.items():
        if column.type == "category":
            categories.append((len(names), name, len(column.categories)))
            names.extend(f"{name}={category}" for category in column.categories)
            continue
        numeric.append((len(names), name))
        names.append(name)
        if column.nullable:
            missing.append((len(names), name))
            names.append(f"{name} is missing")
    placed = tuple(enumerate(derived, start=len(names)))
    for _, feature in placed:
        problem = _find_problem(feature, schema, names)
        if problem:
            raise ProjectError(f"config/model.yaml: derived feature {feature.name!r} {problem}.")
        names.append(feature.name)
    return FeaturePlan(tuple(names), tuple(numeric), tuple(missing), tuple(categories), placed)


def _find_problem(feature: DerivedFeature, schema: Schema, taken: list[str]) -> str:
    for name in feature.columns:
        if name not in schema.features or schema.features[name].type == "category":
            return f"uses {name!r}, which is not a numeric feature of config/schema.yaml"
    operation = OPERATIONS.get(feature.operation)
    if operation is None:
        return f"has operation {feature.operation!r}, which is none of {', '.join(OPERATIONS)} of features.py"
    wanted = operation.nin if isinstance(operation, np.ufunc) else len(signature(operation).parameters)
    if len(feature.columns) != wanted:
        return f"has {len(feature.columns)} column(s); {feature.operation} takes {wanted}"
    return "repeats a name; rename it" if feature.name in taken else ""


def engineer_features(columns: Columns, plan: FeaturePlan) -> NDArray[np.float32]:
    """The feature matrix, (rows, features), NaN where a number is missing or undefined."""
    rows = len(next(iter(columns.values())))
    matrix = np.zeros((rows, len(plan.names)), dtype=np.float32)
    with np.errstate(all="ignore"):
        for place, name in plan.numeric:
            matrix[:, place] = columns[name]
        for place, feature in plan.derived:
            matrix[:, place] = OPERATIONS[feature.operation](*(columns[name] for name in feature.columns))
    finite = np.isfinite(matrix)
    if not finite.all():
        matrix[~finite] = np.nan
        for place, name in plan.missing:
            matrix[:, place] = np.isnan(columns[name])
    for place, name, count in plan.categories:
        matrix[:, place : place + count] = columns[name][:, np.newaxis] == np.arange(count)
    return matrix
