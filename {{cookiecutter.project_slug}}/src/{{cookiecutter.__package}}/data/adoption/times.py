"""Points in time: how they are written, and from when on rows are held out."""

from datetime import datetime

import polars as pl

from ...config import SplitSettings
from ...errors import ProjectError
from ..validation import parse_timestamp

FORMATS = (
    *(
        day + clock
        for day in ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d")
        for clock in ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f")
    ),
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S%z",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)

_READABLE_SHARE = 0.99
_TRIED_VALUES = 5_000


def find_formats(values: pl.Series) -> list[str]:
    """The formats in which nearly all values can be read, those without fractions of a second first."""
    tried = values.drop_nulls().head(_TRIED_VALUES)
    if not tried.len():
        return []
    frame = pl.DataFrame({"text": tried})
    # A format that fails on a few values fails.
    few = frame.head(20)
    return [form for form in FORMATS if _share(few, form) > 0.5 and _share(frame, form) >= _READABLE_SHARE]


def choose_format(column: str, values: pl.Series, given: str | None) -> str:
    """The one format of a column of times.

    Raises:
        ProjectError: no format fits, or several do that mean different days.
    """
    frame = pl.DataFrame({"text": values.drop_nulls()})
    found = [given] if given and _share(frame, given) >= _READABLE_SHARE else find_formats(values) if not given else []
    if not found:
        example = frame["text"].first() if frame.height else ""
        raise ProjectError(
            f"--time-split {column}: values such as {example!r} are neither numbers nor "
            f"{'written as ' + given if given else 'times of a known format'}; "
            "give the format with --date-format, as in '%d.%m.%Y'."
        )
    meanings = {tuple(_read(frame, form).head(1_000)) for form in found}
    if len(meanings) > 1:
        raise ProjectError(
            f"--time-split {column}: {frame['text'].first()!r} can be read as {' or '.join(found)}; "
            "say which with --date-format."
        )
    return found[0]


def cut_by_time(column: str, times: pl.Series, shares: SplitSettings) -> SplitSettings:
    """Settings that hold out the latest rows, in about the shares of `shares`.

    Raises:
        ProjectError: there are fewer than three different times.
    """
    counts = times.drop_nulls().value_counts().sort(times.name)
    points = counts[times.name]
    if points.len() < 3:
        raise ProjectError(
            f"--time-split {column}: {points.len()} different times cannot be cut into three splits; leave it out."
        )
    before = (counts["count"].cum_sum() - counts["count"]) / times.drop_nulls().len()
    test = 2 + _nearest(before[2:], 1 - shares.test)
    validation = 1 + _nearest(before[1:test], 1 - shares.test - shares.validation)
    values: list[datetime | float] = points.to_list()
    return shares.model_copy(
        update={"time_column": column, "validation_from": values[validation], "test_from": values[test]}
    )


def _nearest(shares: pl.Series, wanted: float) -> int:
    place = (shares - wanted).abs().arg_min()
    return 0 if place is None else place


def _read(frame: pl.DataFrame, form: str) -> pl.Series:
    return frame.select(parse_timestamp(pl.col("text"), form)).to_series()


def _share(frame: pl.DataFrame, form: str) -> float:
    return _read(frame, form).count() / max(frame.height, 1)
