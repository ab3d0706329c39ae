"""Points in time: how they are written."""

import polars as pl

from ...errors import ProjectError
from ..validation import parse_timestamp

FORMATS = (
    *(
        day + clock
        for day in ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d")
        for clock in ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f")
    ),
    *(f"%Y-%m-%dT%H:%M{seconds}" for seconds in ("", ":%S", ":%S%.f", ":%SZ", ":%S%.fZ", ":%S%z")),
    "%Y-%m-%d %H:%M:%S%z",
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)

_READABLE_SHARE = 0.99
_TRIED_VALUES = 5_000
_FEW_VALUES = 20


def find_formats(values: pl.Series) -> list[str]:
    """The formats in which nearly all values can be read, those without fractions of a second first."""
    tried = values.drop_nulls().head(_TRIED_VALUES)
    # A format that fails on a few values fails, and what has no digit is no date.
    few = tried.head(_FEW_VALUES)
    if not few.str.contains(r"\d").any():
        return []
    return [form for form in FORMATS if _share(few, form) > 0.5 and _share(tried, form) >= _READABLE_SHARE]


def choose_format(column: str, values: pl.Series, given: str | None) -> str:
    """The one format of a column of times. Raises ProjectError where none fits, or several that mean different days."""
    present = values.drop_nulls()
    found = find_formats(present) if given is None else [given] if _share(present, given) >= _READABLE_SHARE else []
    example = present.first() if len(present) else ""
    if not found:
        raise ProjectError(
            f"--time-split {column}: values such as {example!r} are neither numbers nor "
            f"{'written as ' + given if given else 'times of a known format'}; "
            "give the format with --date-format, as in '%d.%m.%Y'."
        )
    if len({tuple(_read(present, form).head(1_000)) for form in found}) > 1:
        raise ProjectError(
            f"--time-split {column}: {example!r} can be read as {' or '.join(found)}; say which with --date-format."
        )
    return found[0]


def _read(values: pl.Series, form: str) -> pl.Series:
    return pl.select(parse_timestamp(pl.lit(values), form)).to_series()


def _share(values: pl.Series, form: str) -> float:
    return _read(values, form).count() / max(len(values), 1)
