"""What the training rows looked like: the file `reference.json` of a version, which `monitor` compares with.

It holds counts, never rows; columns that the schema marks as sensitive are left out.
"""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError

from ..errors import ProjectError
from ..features import OPERATIONS, Columns, Values, count_characters, is_missing, read_calendar, read_clock
from ..files import write_bytes
from ..modeling.manifest import Manifest
from ..modeling.model import Scores, choose_places

REFERENCE_FILE = "reference.json"
_TENTHS = np.arange(11) / 10
_MOST_VALUES, _FEWEST_ROWS = 50, 20


class Distribution(BaseModel, frozen=True, extra="forbid"):
    """How many rows are in each bin: at and between the `edges` of numbers, or at the frequent `values` of strings.

    What is below or above all edges, other values, and what is missing have bins of their own.
    """

    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    counts: tuple[int, ...]

    @property
    def bins(self) -> list[str]:
        """What each bin holds, in the order of `counts`."""
        if not self.edges:
            return [*self.values, "other or new", "missing"]
        first, last = f"{self.edges[0]:g}", f"{self.edges[-1]:g}"
        steps = [f"{low:g} to {high:g}" for low, high in pairwise(self.edges)]
        return [f"below {first}", first, *steps, f"above {last}", "missing"]

    def count(self, values: Values) -> NDArray[np.int64]:
        """How many of other values are in each bin."""
        missing = len(self.bins) - 1
        if values.dtype == object:
            named: dict[str | None, int] = {name: place for place, name in enumerate(self.values)} | {None: missing}
            places = np.array([named.get(value, missing - 1) for value in values.tolist()], dtype=np.int64)
        else:
            # The smallest edge bounds two bins: what is below it, and what it is.
            places = np.searchsorted(self.edges, values, "left") + (values >= self.edges[0])
            places[np.isnan(values)] = missing
        return np.bincount(places, minlength=missing + 1)


_REFERENCE = TypeAdapter(dict[str, Distribution])


def watch(manifest: Manifest, columns: Columns, scores: Scores | None) -> Columns:
    """What is compared, by name: numbers, NaN where missing, or strings, None where missing.

    These are columns, derived features, and predictions, of other rows maybe. A date moves on with time, which is no
    drift: it is watched by its weekday and hour, and a text by its length.
    """
    table, watched = manifest.table, dict[str, Values]()
    for name, values in columns.items():
        column = table.columns[name]
        if column.type == "timestamp":
            watched[f"{name} weekday"] = read_calendar(values)[:, 4]
            if column.has_clock:
                watched[f"{name} hour"] = read_clock(values)
        elif column.type == "text":
            watched[f"{name} length"] = count_characters(values)
        else:
            # A missing category has the code -1, and so the last place.
            watched[name] = np.array([*column.categories, None], dtype=object)[values] if column.categories else values
    for feature in manifest.derived:
        if set(feature.columns) <= columns.keys():
            with np.errstate(all="ignore"):
                found = OPERATIONS[feature.operation](*(columns[name] for name in feature.columns))
            watched[feature.name] = np.where(np.isfinite(found), found, np.nan)
    if scores is not None and manifest.labels:
        chosen = choose_places(scores, manifest.weights)
        watched[f"predicted {table.target}"] = np.array(manifest.labels, dtype=object)[chosen]
    elif scores is not None:
        # A model's float32 sums may differ in the last place for one row and for many.
        watched[f"predicted {table.target}"] = np.array([float(f"{score:.5g}") for score in scores.tolist()])
    return watched


def describe_values(values: Values) -> Distribution:
    """Bins that fit values: their tenths or, of strings, the frequent ones; and how many are in each."""
    present = values[~is_missing(values)]
    if values.dtype == object:
        common = Counter(present.tolist()).most_common(_MOST_VALUES)
        bins = Distribution(values=tuple(name for name, rows in common if rows >= _FEWEST_ROWS), counts=())
    else:
        edges = np.quantile(present, _TENTHS, method="inverted_cdf") if len(present) else np.zeros(1)
        bins = Distribution(edges=tuple(np.unique(edges).tolist()), counts=())
    return bins.model_copy(update={"counts": tuple(bins.count(values).tolist())})


def write_reference(folder: Path, manifest: Manifest, training: Columns, scores: Scores) -> None:
    """Count what is watched of the training rows, and the predictions for held-out rows by their `scores`.

    The same counts give the same bytes.
    """
    kept = {name: training[name] for name, column in manifest.table.features.items() if not column.sensitive}
    reference = {name: describe_values(values) for name, values in watch(manifest, kept, scores).items()}
    write_bytes(folder / REFERENCE_FILE, _REFERENCE.dump_json(reference) + b"\n")


def read_reference(folder: Path) -> dict[str, Distribution]:
    """What each thing watched looked like. Raises ProjectError where a version has none, or one of a former release."""
    try:
        return _REFERENCE.validate_json((folder / REFERENCE_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise ProjectError(
            f"{folder.name} has no {REFERENCE_FILE} to compare with: it was trained without monitoring, or by a former "
            "release of the template. Run `train`, `evaluate` and `promote`; if that is refused as a tie, "
            '`promote --force --reason "with a reference"`.'
        ) from error
