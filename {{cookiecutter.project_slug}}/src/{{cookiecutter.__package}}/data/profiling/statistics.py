"""What can be said of each column, of pairs of columns, and of a column and the target."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from ...schema import Column, Schema
from ...terminal import track
from .associations import Codes, Numbers, correlate, correlation_ratio, cramers_v
from .sample import RawFile, Sample

OTHERS = "others"
MISSING = "missing"

_BINS = 30
_MOST_CATEGORIES = 10
_MOST_LABELS = 7
# Quantile groups of a number: a few to look at, more to measure an association that may be curved.
_GROUPS_SHOWN = 8
_GROUPS_MEASURED = 32
# A histogram leaves out the outer hundredths where they would take most of its width.
_TAIL = 0.01
_LONG_TAIL = 5


@dataclass(frozen=True)
class NumberSummary:
    """Of a numeric column, in its own unit."""

    mean: float
    standard_deviation: float
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float


@dataclass(frozen=True)
class Histogram:
    """Rows by equal steps from `low` to `high`, or one step for each whole number from `low` to `high`.

    `outside` counts the rows beyond either.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    outside: int


@dataclass(frozen=True)
class Count:
    """A value and the rows that have it."""

    value: str
    rows: int


@dataclass(frozen=True)
class TargetGroup:
    """The target in the rows where a feature has one value or lies in one interval.

    `values` are the shares of `TableProfile.labels`, or for a regression the lower quartile, the median
    and the upper quartile of the target.
    """

    value: str
    rows: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class ColumnProfile:
    """A column; `unreadable` counts the values that are not of its type, `association` is with the target."""

    name: str
    column: Column
    is_target: bool
    rows: int
    missing: int
    unreadable: int
    distinct: int
    most_common: tuple[Count, ...]
    numbers: NumberSummary | None = None
    histogram: Histogram | None = None
    association: float = math.nan
    by_target: tuple[TargetGroup, ...] = ()

    @property
    def missing_share(self) -> float:
        """The share of rows without a value."""
        return self.missing / max(1, self.rows)

    @property
    def role(self) -> str:
        """`target`, or the role that the schema gives."""
        return "target" if self.is_target else self.column.role


@dataclass(frozen=True)
class Correlations:
    """Pearson's correlation of each pair of numeric columns, NaN where it is not defined."""

    names: tuple[str, ...]
    matrix: Numbers

    def strongest(self, most: int) -> list[tuple[str, str, float]]:
        """The pairs that tell most of each other, strongest first."""
        rows, columns = np.triu_indices(len(self.names), k=1)
        values = self.matrix[rows, columns]
        order = [place for place in np.argsort(-np.abs(values)) if not math.isnan(values[place])]
        return [(self.names[rows[i]], self.names[columns[i]], float(values[i])) for i in order[:most]]


@dataclass(frozen=True)
class TableProfile:
    """The table: its files, its columns in the schema's order, and what holds between them.

    `labels` are the classes that target groups show, the most frequent first; empty for a regression.
    `class_rows` counts the sampled rows of every class of the schema.
    """

    schema: Schema
    files: tuple[RawFile, ...]
    rows: int
    sampled: int
    duplicate_share: float
    broken: dict[tuple[str, str], int]
    labels: tuple[str, ...]
    class_rows: dict[str, int]
    columns: tuple[ColumnProfile, ...]
    correlations: Correlations

    @property
    def target(self) -> ColumnProfile:
        """The column that is predicted."""
        return next(column for column in self.columns if column.is_target)

    def statistics(self) -> pl.DataFrame:
        """A table with one row a column."""
        rows = [
            {
                "column": column.name,
                "type": column.column.type,
                "role": column.role,
                "rows": column.rows,
                "missing_share": column.missing_share,
                "distinct": column.distinct,
                "association": None if math.isnan(column.association) else column.association,
                **{name: getattr(column.numbers, name, None) for name in NumberSummary.__dataclass_fields__},
            }
            for column in self.columns
        ]
        numbers = dict.fromkeys(["association", *NumberSummary.__dataclass_fields__], pl.Float64)
        return pl.DataFrame(rows, schema_overrides=numbers)


def profile_table(schema: Schema, sample: Sample) -> TableProfile:
    """Describe a sample of the table that the schema is about."""
    frame = sample.frame
    target = _Target.read(schema, frame[schema.target])
    columns = [
        _profile_column(schema, name, frame[name], sample.broken, target)
        for name in track(list(schema.columns), "Describing columns")
    ]
    return TableProfile(
        schema=schema,
        files=sample.files,
        rows=sample.rows,
        sampled=frame.height,
        duplicate_share=sample.duplicate_share,
        broken={rule: count for rule, count in sample.broken.items() if count},
        labels=target.labels,
        class_rows={label: int((target.codes == place).sum()) for place, label in enumerate(schema.labels)},
        columns=tuple(columns),
        correlations=_correlate_numbers(frame),
    )


@dataclass(frozen=True)
class _Target:
    """The target where it is known: codes of all its classes, and of those shown, or numbers."""

    known: pl.Series
    numbers: Numbers
    codes: Codes
    labels: tuple[str, ...]
    shown: Codes

    @classmethod
    def read(cls, schema: Schema, series: pl.Series) -> "_Target":
        known = series.is_not_null()
        values = series.filter(known)
        if schema.task == "regression":
            none = np.zeros(0, dtype=np.int64)
            return cls(known, values.cast(pl.Float64).to_numpy(), none, (), none)
        codes = values.to_physical().cast(pl.Int64).to_numpy()
        names, shown = _most_frequent(codes, list(schema.labels), _MOST_LABELS)
        return cls(known, np.zeros(0), codes, tuple(names), shown)

    def association(self, groups: Codes) -> float:
        return cramers_v(groups, self.codes) if self.labels else correlation_ratio(groups, self.numbers)

    def by_group(self, groups: Codes, names: list[str]) -> tuple[TargetGroup, ...]:
        found = []
        for place, name in enumerate(names):
            inside = groups == place
            rows = int(inside.sum())
            if rows:
                found.append(TargetGroup(name, rows, self._describe(inside)))
        return tuple(found)

    def _describe(self, inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[float, ...]:
        if self.labels:
            counts = np.bincount(self.shown[inside], minlength=len(self.labels))
            return tuple((counts / counts.sum()).tolist())
        return tuple(np.quantile(self.numbers[inside], [0.25, 0.5, 0.75]).tolist())


def _profile_column(
    schema: Schema, name: str, series: pl.Series, broken: dict[tuple[str, str], int], target: _Target
) -> ColumnProfile:
    column = schema.columns[name]
    is_feature = name in schema.features
    unreadable = sum(broken.get((name, kind), 0) for kind in ("type", "category"))
    values = series.drop_nulls()
    is_numeric = values.dtype.is_numeric() and values.len() > 0
    association, by_target = math.nan, tuple[TargetGroup, ...]()
    if is_feature and target.known.any():
        association, by_target = _relate_to_target(series.filter(target.known), target)
    return ColumnProfile(
        name=name,
        column=column,
        is_target=name == schema.target,
        rows=series.len(),
        missing=series.null_count() - unreadable,
        unreadable=unreadable,
        distinct=values.n_unique(),
        most_common=_count_values(values),
        numbers=_summarise(values.to_numpy()) if is_numeric else None,
        histogram=_make_histogram(values.to_numpy()) if is_numeric else None,
        association=association,
        by_target=by_target,
    )


def _relate_to_target(series: pl.Series, target: _Target) -> tuple[float, tuple[TargetGroup, ...]]:
    if series.dtype.is_numeric():
        numbers = series.cast(pl.Float64).to_numpy()
        measured, _ = _quantile_groups(numbers, _GROUPS_MEASURED)
        shown, names = _quantile_groups(numbers, _GROUPS_SHOWN)
    else:
        values = series.cast(pl.String)
        categories = values.drop_nulls().unique(maintain_order=True).to_list()
        places = dict(zip(categories, range(len(categories)), strict=True))
        measured = values.replace_strict(places, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
        names, shown = _most_frequent(measured, categories, _MOST_CATEGORIES)
    if (shown < 0).any():
        shown = np.where(shown < 0, len(names), shown)
        names = [*names, MISSING]
    # Values that are missing are a group like any other: their absence may give the target away.
    association = target.association(np.where(measured < 0, measured.max() + 1, measured))
    if not target.labels and series.dtype.is_numeric():
        # Quantile groups blur a straight line, most of all where the target has a long tail.
        straight = abs(correlate(np.column_stack([numbers, target.numbers]))[0, 1])
        association = float(np.nanmax([association, straight])) if not math.isnan(straight) else association
    return association, target.by_group(shown, names)


def _quantile_groups(numbers: Numbers, most: int) -> tuple[Codes, list[str]]:
    """The group of each number, -1 for NaN, and the groups' names."""
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return np.full(len(numbers), -1, dtype=np.int64), []
    distinct = np.unique(known)
    if len(distinct) <= most:
        codes = np.searchsorted(distinct, numbers).astype(np.int64)
        names = [format_number(value) for value in distinct]
    else:
        starts = np.unique(np.quantile(known, np.linspace(0, 1, most + 1)[:-1], method="lower"))
        codes = np.searchsorted(starts, numbers, side="right").astype(np.int64) - 1
        ends = distinct[[*(np.searchsorted(distinct, starts[1:]) - 1), -1]]
        names = [_name_interval(low, high) for low, high in zip(starts, ends, strict=True)]
    codes[np.isnan(numbers)] = -1
    return codes, names


def _name_interval(low: float, high: float) -> str:
    return format_number(low) if low == high else f"{format_number(low)} to {format_number(high)}"


def _most_frequent(codes: Codes, names: list[str], most: int) -> tuple[list[str], Codes]:
    """The `most` frequent names with one for all others, and the codes in these names; -1 stays."""
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    kept = [int(place) for place in order if counts[place]][: most if np.count_nonzero(counts) > most + 1 else None]
    chosen = [names[place] for place in kept]
    new_codes = np.full(len(names) + 1, len(kept), dtype=np.int64)
    new_codes[kept] = np.arange(len(kept))
    new_codes[-1] = -1
    if len(kept) < np.count_nonzero(counts):
        chosen.append(OTHERS)
    return chosen, new_codes[codes]


def _count_values(values: pl.Series) -> tuple[Count, ...]:
    counts = values.cast(pl.String).alias("value").value_counts(name="rows")
    ordered = counts.sort(["rows", "value"], descending=[True, False]).head(_MOST_CATEGORIES)
    return tuple(Count(value, rows) for value, rows in ordered.iter_rows())


def _summarise(values: Numbers) -> NumberSummary:
    lowest, lower, median, upper, highest = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return NumberSummary(
        mean=float(values.mean()),
        standard_deviation=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        minimum=lowest,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        maximum=highest,
    )


def _make_histogram(values: Numbers) -> Histogram:
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = np.quantile(values, [_TAIL, 1 - _TAIL]).tolist()
    if high - low > _LONG_TAIL * (inner_high - inner_low) > 0:
        low, high = inner_low, inner_high
    inside = values[(values >= low) & (values <= high)]
    if high - low < _BINS and np.array_equal(inside, np.round(inside)):
        low, high = float(inside.min()), float(inside.max())
        counts = np.bincount((inside - low).astype(np.int64))
    else:
        counts, _ = np.histogram(inside, bins=_BINS, range=(low, high))
    return Histogram(low, high, tuple(counts.tolist()), len(values) - len(inside))


def _correlate_numbers(frame: pl.DataFrame) -> Correlations:
    numeric = frame.select(pl.selectors.numeric())
    varying = [name for name in numeric.columns if numeric[name].drop_nulls().n_unique() > 1]
    if len(varying) < 2:
        return Correlations((), np.zeros((0, 0)))
    matrix = correlate(numeric.select(varying).cast(pl.Float64).fill_null(math.nan).to_numpy())
    return Correlations(tuple(varying), matrix)


def format_number(value: float) -> str:
    """A number as people read it: four significant digits, whole where it is large."""
    if value != 0 and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.3e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
