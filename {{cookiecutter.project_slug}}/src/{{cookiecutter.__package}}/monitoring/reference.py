"""What the training rows looked like: the file `reference.json` of a version, which `monitor` compares with.

It holds counts, never rows; columns that the schema marks as sensitive are left out.
"""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from ..config import DerivedFeature, describe_errors
from ..errors import ProjectError
from ..features import OPERATIONS, Columns, count_characters, hash_values, read_calendar, read_clock
from ..files import write_bytes
from ..modeling.dataset import align_answers
from ..modeling.model import Scores, choose_places
from ..schema import Column, Schema

REFERENCE_FILE = "reference.json"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OTHERS, _MOST_VALUES, _FEWEST_ROWS = "other values", 50, 5


class Pair(NamedTuple):
    """Rows of the reference and of the window in the same categories, or in the same steps of numbers."""

    subject: str
    reference: NDArray[np.int64]
    window: NDArray[np.int64]
    edges: tuple[float, ...] = ()  # the first step is below the smallest, the second that one itself, the last open
    names: tuple[str, ...] = ()


class Distribution(BaseModel, frozen=True, extra="forbid"):
    """How often each category occurred, in the schema's order; or how many numbers lie between which others.

    Of strings the most frequent are told, the others counted as one; `known` has the hashes of all.
    """

    edges: tuple[float, ...] = ()  # of numbers, from the smallest one to the largest
    counts: dict[str, int] | tuple[int, ...]  # of numbers, those above the edge before, and at or below this one
    missing: int = 0
    known: tuple[int, ...] = ()
    singles: int = 0  # strings that occurred once: about as many of as many rows will have a new one (Good, 1953)

    @property
    def rows(self) -> int:
        """How many were counted, missing ones too."""
        return self.missing + sum(self.counts.values() if isinstance(self.counts, dict) else self.counts)

    def pair(self, subject: str, values: NDArray[Any]) -> Pair:
        """These counts beside those of other values, missing ones left out."""
        if isinstance(self.counts, dict):
            if values.dtype == object:
                named = {name: place for place, name in enumerate(self.counts)}
                strings = [value for value in values.tolist() if value is not None]
                values = np.array([named.get(value, named[_OTHERS]) for value in strings], dtype=np.int64)
            window = np.bincount(values[values >= 0].astype(np.int64), minlength=len(self.counts))
            return Pair(subject, np.array(list(self.counts.values())), window, names=tuple(self.counts))
        present = values[~np.isnan(values)]
        # The smallest edge bounds two steps: what is below it, and what it is.
        places = np.searchsorted(self.edges, present, "left") + np.searchsorted(self.edges[:1], present, "right")
        window = np.bincount(places, minlength=len(self.edges) + 2)
        return Pair(subject, np.array([0, *self.counts, 0]), window, edges=self.edges)


class Reference(BaseModel, frozen=True, extra="forbid"):
    """Features of the training rows; predictions and errors of the validation rows."""

    numbers: dict[str, Distribution]
    categories: dict[str, Distribution]
    predictions: Distribution  # labels, or a regression's values
    confidence: Distribution | None = None  # probabilities of the likeliest labels
    errors: Distribution | None = None  # absolute errors of a regression, in the target's unit
    wrong: int | None = None  # rows whose label was another


def watch(schema: Schema, derived: tuple[DerivedFeature, ...], columns: Columns) -> Columns:
    """What is compared of the columns that are there, and of derived features: numbers, places in names, or strings.

    A date moves on with time, which is no drift: it is watched by its weekday and hour, and a text by its length.
    """
    watched: Columns = {}
    for name, values in columns.items():
        column = schema.columns[name]
        subject = name_subject(name, column)
        if column.type == "timestamp":
            watched[subject] = np.nan_to_num(read_calendar(values)[:, 4], nan=-1).astype(np.int64)
            if column.has_clock:
                watched[f"{name} hour"] = read_clock(values)
        else:
            watched[subject] = count_characters(values) if column.type == "text" else values
    for feature in derived:
        if set(feature.columns) <= columns.keys():
            with np.errstate(all="ignore"):
                found = OPERATIONS[feature.operation](*(columns[name] for name in feature.columns))
            watched[feature.name] = np.where(np.isfinite(found), found, np.nan)
    return watched


def name_subject(name: str, column: Column) -> str:
    """What is said to drift where a column does."""
    return name + {"timestamp": " weekday", "text": " length"}.get(column.type, "")


def describe_reference(
    schema: Schema,
    labels: tuple[str, ...],
    training: Columns,
    scores: Scores,
    truth: NDArray[Any],
    weights: tuple[float, ...] = (),
    derived: tuple[DerivedFeature, ...] = (),
) -> Reference:
    """Count the training rows' features, and the predictions `scores` of held-out rows against `truth`."""
    kept = {name: column for name, column in schema.features.items() if not column.sensitive}
    answers = align_answers(scores, labels, weights, schema)
    watched = watch(schema, derived, {name: training[name] for name in kept})
    named: dict[str, tuple[str, ...]] = {"category": (), "boolean": ("false", "true"), "timestamp": WEEKDAYS}
    names = {
        name_subject(name, column): column.categories or named[column.type]
        for name, column in kept.items()
        if column.type in named
    }
    return Reference(
        numbers={name: count_values(values) for name, values in watched.items() if name not in names},
        categories={name: count_values(watched[name], categories) for name, categories in names.items()},
        predictions=count_values(choose_places(scores, weights) if labels else round_scores(scores), labels),
        confidence=count_values(round_scores(scores.max(axis=1))) if labels else None,
        errors=None if labels else count_values(round_scores(np.abs(truth - round_scores(scores)))),
        wrong=int(np.count_nonzero(choose_places(*answers) != truth)) if labels else None,
    )


def write_reference(reference: Reference, folder: Path) -> None:
    """Write the file; the same counts give the same bytes."""
    write_bytes(folder / REFERENCE_FILE, (reference.model_dump_json(exclude_unset=True) + "\n").encode())


def read_reference(folder: Path) -> Reference:
    """The reference of a version. Raises ProjectError where it has none, or a damaged one."""
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


def count_values(values: NDArray[Any], names: tuple[str, ...] = ()) -> Distribution:
    """Counts by name, of places in `names` or of strings, or else of numbers; NaN, None and negative are missing."""
    if values.dtype == object:
        return _count_strings(values)
    present = values[values >= 0].astype(np.int64) if names else values[~np.isnan(values)]
    missing = len(values) - len(present)
    if names:
        counts = np.bincount(present, minlength=len(names))
        return Distribution(counts=dict(zip(names, counts.tolist(), strict=True)), missing=missing)
    # At most 101 quantiles, which are values that occur.
    edges = np.unique(np.sort(present)[np.linspace(0, len(present) - 1, min(101, len(present))).round().astype(int)])
    counts = np.bincount(np.searchsorted(edges, present, "left"))
    return Distribution(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), missing=missing)


def _count_strings(values: NDArray[Any]) -> Distribution:
    found = Counter(value for value in values.tolist() if value is not None)
    counts = {name: rows for name, rows in found.most_common(_MOST_VALUES) if rows >= _FEWEST_ROWS}
    counts[_OTHERS] = counts.get(_OTHERS, 0) + found.total() - sum(counts.values())
    return Distribution(
        counts=counts,
        missing=len(values) - found.total(),
        known=tuple(np.unique(hash_values(np.array(list(found), dtype=object))).tolist()),
        singles=sum(rows == 1 for rows in found.values()),
    )


def round_scores(scores: Scores) -> NDArray[np.float64]:
    """Five significant digits: a model's float32 sums may differ in the last place for one row and for many."""
    return np.array([float(f"{score:.5g}") for score in scores.tolist()])
