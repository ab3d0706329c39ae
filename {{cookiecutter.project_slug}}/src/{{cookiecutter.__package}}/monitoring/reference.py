"""What the training rows looked like: the file `reference.json` of a version, which `monitor` compares with.

It holds counts, never rows; columns that the schema marks as sensitive are left out.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from ..config import describe_errors
from ..errors import ProjectError
from ..features import MISSING_CODE, Columns
from ..files import write_bytes
from ..modeling.dataset import choose_labels
from ..modeling.model import Scores
from ..schema import Column, Schema

REFERENCE_FILE = "reference.json"

_GRID = 100
_DIGITS = 5
_FALSE_TRUE = ("false", "true")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberCounts(_Record):
    """How numbers were distributed: `counts[i]` rows lie above `edges[i - 1]` and at or below `edges[i]`.

    The edges rise from the smallest value to the largest; `counts[0]` rows have the smallest.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int = 0

    @property
    def rows(self) -> int:
        """How many numbers there were."""
        return sum(self.counts)


class CategoryCounts(_Record):
    """How often each category occurred, in the schema's order."""

    counts: dict[str, int]
    missing: int = 0

    @property
    def rows(self) -> int:
        """How many values there were."""
        return sum(self.counts.values())


class Reference(_Record):
    """Features of the training rows; predictions and errors of the validation rows.

    For a classification `predictions` counts labels, `confidence` has the probabilities of the
    predicted labels, and `wrong` counts the rows whose label was another. For a regression
    `predictions` has the values, and `errors` the absolute errors, in the target's unit.
    """

    numbers: dict[str, NumberCounts]
    categories: dict[str, CategoryCounts]
    predictions: NumberCounts | CategoryCounts
    confidence: NumberCounts | None = None
    errors: NumberCounts | None = None
    wrong: int | None = None


def describe_reference(
    schema: Schema, labels: tuple[str, ...], training: Columns, scores: Scores, truth: NDArray[Any]
) -> Reference:
    """Count the training rows' features, and the predictions `scores` of held-out rows against `truth`."""
    kept = {name: column for name, column in schema.features.items() if not column.sensitive}
    numbers = {name: count_numbers(training[name]) for name, column in kept.items() if column.is_numeric}
    categories = {
        name: count_categories(category_codes(column, training[name]), category_names(column))
        for name, column in kept.items()
        if not column.is_numeric
    }
    if not labels:
        values = round_scores(scores)
        return Reference(
            numbers=numbers,
            categories=categories,
            predictions=count_numbers(values),
            errors=count_numbers(absolute_errors(values, truth)),
        )
    chosen = scores.argmax(axis=1)
    return Reference(
        numbers=numbers,
        categories=categories,
        predictions=count_categories(chosen, labels),
        confidence=count_numbers(round_scores(scores.max(axis=1))),
        wrong=int(np.count_nonzero(choose_labels(scores, labels, schema) != truth)),
    )


def write_reference(reference: Reference, folder: Path) -> str:
    """Write the file and return its name; the same counts give the same bytes."""
    write_bytes(folder / REFERENCE_FILE, (reference.model_dump_json() + "\n").encode())
    return REFERENCE_FILE


def read_reference(folder: Path) -> Reference:
    """The reference of a version.

    Raises:
        ProjectError: it has none, or the file is damaged.
    """
    path = folder / REFERENCE_FILE
    try:
        return Reference.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ProjectError(
            f"{folder.name} has no {REFERENCE_FILE} to compare with; promote a model that this package trained."
        ) from error
    except ValidationError as error:
        raise ProjectError(f"{path} is damaged:\n{describe_errors(error)}") from error


def count_numbers(values: NDArray[np.float64]) -> NumberCounts:
    """Counts between at most 101 quantiles, which are values that occur; NaN is missing."""
    present = np.sort(values[~np.isnan(values)])
    missing = len(values) - len(present)
    if not len(present):
        return NumberCounts(edges=(), counts=(), missing=missing)
    places = np.linspace(0, len(present) - 1, min(_GRID + 1, len(present))).round().astype(int)
    edges = np.unique(present[places])
    return NumberCounts(edges=tuple(edges.tolist()), counts=count_between(present, edges)[:-1], missing=missing)


def count_between(values: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[int, ...]:
    """How many values are at most `edges[0]`, then in each half-open step up, then above the last edge."""
    return tuple(np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1).tolist())


def count_categories(codes: NDArray[np.int64], names: tuple[str, ...]) -> CategoryCounts:
    """Counts by name; `MISSING_CODE` is missing."""
    present = codes[codes != MISSING_CODE]
    counts = np.bincount(present, minlength=len(names)).tolist()
    return CategoryCounts(counts=dict(zip(names, counts, strict=True)), missing=len(codes) - len(present))


def category_names(column: Column) -> tuple[str, ...]:
    """The categories of a column; of a boolean, false and true."""
    return column.categories or _FALSE_TRUE


def category_codes(column: Column, values: NDArray[Any]) -> NDArray[np.int64]:
    """A category's or boolean's place in `category_names`, `MISSING_CODE` where missing."""
    if column.type == "category":
        return values.astype(np.int64)
    return np.where(np.isnan(values), MISSING_CODE, values).astype(np.int64)


def absolute_errors(values: NDArray[np.float64], truth: NDArray[Any]) -> NDArray[np.float64]:
    """How far predictions are from the truth, rounded as they are."""
    return round_scores(np.abs(truth - values))


def round_scores(scores: Scores) -> NDArray[np.float64]:
    """Five significant digits.

    A model may add up its float32 numbers in another order for one row than for many; without
    rounding, values that are equal for many rows would differ in the last place.
    """
    wide = scores.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(wide))))
        rounded = np.round(wide * scale) / scale
    return np.where(np.isfinite(rounded), rounded, 0.0)
