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
from ..features import Columns
from ..files import write_bytes
from ..modeling.dataset import choose_labels
from ..modeling.model import Scores
from ..schema import Schema
from .checks import Pair

REFERENCE_FILE = "reference.json"

_GRID = 100


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberCounts(_Record):
    """How numbers were distributed: `counts[i]` rows lie above `edges[i - 1]` and at or below `edges[i]`.

    The edges rise from the smallest value to the largest; `counts[0]` rows have the smallest.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int = 0

    def pair(self, subject: str, values: NDArray[Any]) -> Pair:
        """These counts beside those of other numbers, NaN left out."""
        present = values[~np.isnan(values)]
        # The smallest edge bounds two steps: what is below it, and what it is.
        places = np.searchsorted(self.edges, present, "left") + np.searchsorted(self.edges[:1], present, "right")
        counts = np.bincount(places, minlength=len(self.edges) + 2)
        return Pair(subject, np.array([0, *self.counts, 0]), counts, edges=self.edges)


class CategoryCounts(_Record):
    """How often each category occurred, in the schema's order."""

    counts: dict[str, int]
    missing: int = 0

    def pair(self, subject: str, values: NDArray[Any]) -> Pair:
        """These counts beside those of other values, missing ones left out."""
        names = tuple(self.counts)
        reference, window = (np.array(list(each.counts.values())) for each in (self, count_categories(values, names)))
        return Pair(subject, reference, window, names=names)


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
        name: count_categories(training[name], column.categories or ("false", "true"))
        for name, column in kept.items()
        if not column.is_numeric
    }
    if not labels:
        predictions, errors = count_numbers(round_scores(scores)), count_numbers(absolute_errors(scores, truth))
        return Reference(numbers=numbers, categories=categories, predictions=predictions, errors=errors)
    return Reference(
        numbers=numbers,
        categories=categories,
        predictions=count_categories(scores.argmax(axis=1), labels),
        confidence=count_numbers(round_scores(scores.max(axis=1))),
        wrong=int(np.count_nonzero(choose_labels(scores, labels, schema) != truth)),
    )


def write_reference(reference: Reference, folder: Path) -> str:
    """Write the file and return its name; the same counts give the same bytes."""
    write_bytes(folder / REFERENCE_FILE, (reference.model_dump_json() + "\n").encode())
    return REFERENCE_FILE


def read_reference(folder: Path) -> Reference:
    """The reference of a version. Raises: ProjectError where it has none, or a damaged one."""
    path = folder / REFERENCE_FILE
    try:
        return Reference.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ProjectError(
            f"{folder.name} has no {REFERENCE_FILE} to compare with: it was trained without monitoring. Run `train`, "
            '`evaluate` and `promote`; if that is refused as a tie, `promote --force --reason "with a reference"`.'
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
    counts = np.bincount(np.searchsorted(edges, present, "left"))
    return NumberCounts(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), missing=missing)


def count_categories(values: NDArray[Any], names: tuple[str, ...]) -> CategoryCounts:
    """Counts by name; a value is a place in `names`, NaN or negative if missing."""
    present = values[values >= 0].astype(np.int64)
    counts = np.bincount(present, minlength=len(names)).tolist()
    return CategoryCounts(counts=dict(zip(names, counts, strict=True)), missing=len(values) - len(present))


def absolute_errors(scores: Scores, truth: NDArray[Any]) -> NDArray[np.float64]:
    """How far predictions are from the truth, rounded as they are."""
    return round_scores(np.abs(truth - round_scores(scores)))


def round_scores(scores: Scores) -> NDArray[np.float64]:
    """Five significant digits: a model's float32 sums may differ in the last place for one row and for many."""
    return np.array([float(f"{score:.5g}") for score in scores.tolist()])
