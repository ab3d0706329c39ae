"""From columns to the feature matrix: the one function that training, batch and the API share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import DerivedFeature
from ..errors import ProjectError
from ..schema import Schema
from .columns import Columns

_Numbers = NDArray[np.float64]

_OPERATIONS: dict[str, Callable[..., _Numbers]] = {
    "ratio": lambda left, right: left / right,
    "product": lambda left, right: left * right,
    "difference": lambda left, right: left - right,
    "log1p": np.log1p,
}


@dataclass(frozen=True)
class FeaturePlan:
    """Which feature stands in which place of the matrix."""

    names: tuple[str, ...]
    numeric: tuple[tuple[int, str], ...]
    missing: tuple[tuple[int, str], ...]
    categories: tuple[tuple[int, str, int], ...]
    derived: tuple[tuple[int, DerivedFeature], ...]


def plan_features(schema: Schema, derived: tuple[DerivedFeature, ...] = ()) -> FeaturePlan:
    """Lay out the matrix: numbers, a flag for each number that may be missing, one place a category.

    Raises:
        ProjectError: a derived feature repeats a name or uses a column that is no numeric feature.
    """
    features = schema.features
    names: list[str] = []
    numeric: list[tuple[int, str]] = []
    missing: list[tuple[int, str]] = []
    categories: list[tuple[int, str, int]] = []
    placed: list[tuple[int, DerivedFeature]] = []
    for name, column in features.items():
        if column.type == "category":
            categories.append((len(names), name, len(column.categories)))
            names.extend(f"{name}={category}" for category in column.categories)
            continue
        numeric.append((len(names), name))
        names.append(name)
        if column.nullable:
            missing.append((len(names), name))
            names.append(f"{name} is missing")
    for feature in derived:
        for operand in feature.columns:
            if operand not in features or features[operand].type == "category":
                raise ProjectError(
                    f"config/model.yaml: derived feature {feature.name!r} uses {operand!r}, "
                    "which is not a numeric feature of config/schema.yaml."
                )
        if feature.name in names:
            raise ProjectError(f"config/model.yaml: derived feature {feature.name!r} repeats a name; rename it.")
        placed.append((len(names), feature))
        names.append(feature.name)
    return FeaturePlan(tuple(names), tuple(numeric), tuple(missing), tuple(categories), tuple(placed))


def engineer_features(columns: Columns, plan: FeaturePlan) -> NDArray[np.float32]:
    """The feature matrix, (rows, features), NaN where a number is missing or undefined."""
    rows = len(next(iter(columns.values())))
    matrix = np.zeros((rows, len(plan.names)), dtype=np.float32)
    with np.errstate(all="ignore"):
        for place, name in plan.numeric:
            matrix[:, place] = columns[name]
        for place, feature in plan.derived:
            matrix[:, place] = _OPERATIONS[feature.operation](*(columns[name] for name in feature.columns))
    finite = np.isfinite(matrix)
    if not finite.all():
        matrix[~finite] = np.nan
        for place, name in plan.missing:
            matrix[:, place] = np.isnan(columns[name])
    for place, name, count in plan.categories:
        matrix[:, place : place + count] = columns[name][:, np.newaxis] == np.arange(count)
    return matrix
