"""What is in each column of a table, and how points in time are written."""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from ...config import SourceSettings
from ...terminal import track
from ..loading import scan_table
from ..splitting import is_sampled
from ..validation import parse_number, parse_timestamp

TIME_FORMATS = (
    *(
        day + clock
        for day in ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d")
        for clock in ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f")
    ),
    *(f"%Y-%m-%dT%H:%M{seconds}" for seconds in ("", ":%S", ":%S%.f", ":%SZ", ":%S%.fZ", ":%S%z")),
    *("%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S%.f%z", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)

_SAMPLE_ROWS = 30_000
_COUNTED_CELLS = 2_000_000
_MOST_KEPT = 300
_NUMERIC_SHARE = 0.98
_READABLE_SHARE = 0.99


@dataclass(frozen=True)
class ColumnFacts:
    """Counts over all rows of a column that have a value in any.

    `has_numbers`: nearly all values are numbers, if only by their digits; `is_numeric`: and none is a code such as
    0815; `is_whole`: each number is an integer. `values` counts the first 301 different ones, `words` are the first
    that are no number.
    """

    rows: int
    missing: int
    present: int = 0
    numbers: int = 0
    has_numbers: bool = False
    is_numeric: bool = False
    is_whole: bool = False
    minimum: float = 0.0
    maximum: float = 0.0
    different: int = 0
    rows_each: float = 0.0
    values: dict[str, int] = field(default_factory=dict)
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """All columns of a table, and a random sample of its rows as strings.

    `blank` rows, in which nothing stands, are in none of these.
    """

    rows: int
    columns: dict[str, ColumnFacts]
    sample: pl.DataFrame
    blank: int


def survey_table(path: Path, names: list[str], source: SourceSettings) -> Survey:
    """Look at every row."""
    raw, is_blank = scan_table(path, source), pl.coalesce(names).is_null()
    total, blank = raw.select(pl.len(), blank=is_blank.sum()).collect(engine="streaming").row(0)
    rows, width = total - blank, 1 + _COUNTED_CELLS // (1 + total)
    columns = {name: ColumnFacts(rows, rows) for name in names}
    for start in track(range(0, len(names), width), "Looking at columns"):
        group = raw.select(names[start : start + width]).collect(engine="streaming")
        columns |= _count_values(group, rows, source)
    taken = raw.filter(is_sampled(_SAMPLE_ROWS / max(1, total))).collect(engine="streaming")
    # A filter over thousands of columns is for a frame: that of a scan takes minutes.
    sample = taken.select(names).filter(~is_blank)
    return Survey(rows, columns, sample, blank)


def find_time_formats(sample: pl.Series, given: str | None = None) -> list[str]:
    """The format given or else those known in which nearly all values can be read; one for each different reading."""
    tried, readings = sample.drop_nulls().head(2_000), dict[tuple[object, ...], str]()
    for form in (*((given,) if given else ()), *TIME_FORMATS):
        times = pl.select(parse_timestamp(pl.lit(tried), form)).to_series()
        if times.count() >= _READABLE_SHARE * max(1, len(tried)):
            if form == given:
                return [form]
            readings.setdefault(tuple(times), form)
    return list(readings.values())


def _count_values(group: pl.DataFrame, rows: int, source: SourceSettings) -> dict[str, ColumnFacts]:
    # All columns at once: a call for each would dominate where there are thousands.
    value, number, count = pl.col("value"), pl.col("number"), pl.col("len")
    numbers, kept = count.filter(number.is_not_null()).sum(), value.head(_MOST_KEPT + 1)
    has_numbers = numbers >= _NUMERIC_SHARE * count.sum()
    facts = (
        group.unpivot(variable_name="column")
        .drop_nulls()
        .group_by("column", "value", maintain_order=True)
        .len()
        .with_columns(number=parse_number(value, source.decimal_comma))
        .group_by("column")
        .agg(
            missing=rows - count.sum(),
            present=count.sum(),
            numbers=numbers,
            has_numbers=has_numbers,
            is_numeric=has_numbers & ~value.str.contains(r"^[-+]?0\d").any(),
            is_whole=(number == number.round()).all(),
            minimum=number.min(),
            maximum=number.max(),
            different=pl.len(),
            rows_each=count.mean(),
            values=kept,
            counts=count.head(_MOST_KEPT + 1),
            words=value.filter(number.is_null()).head(_MOST_KEPT + 1),
        )
    )
    found = {}
    for row in facts.iter_rows(named=True):
        name, values = row.pop("column"), dict(zip(row.pop("values"), row.pop("counts"), strict=True))
        found[name] = ColumnFacts(rows, values=values, **row)
    return found
