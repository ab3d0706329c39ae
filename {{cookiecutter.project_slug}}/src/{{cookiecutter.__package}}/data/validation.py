"""Strings become typed values, and each row learns which rules of the schema it breaks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from ..config import SourceSettings
from ..schema import FALSE_WORDS, TRUE_WORDS, Column

OWN_PREFIXES = _TYPED, _VALID = ("_typed ", "_valid")
"""What the names of columns that are added while checking begin with."""


@dataclass(frozen=True)
class CheckedRows:
    """Raw and typed values side by side, and what tells whether a row breaks a rule, such as `size: minimum`."""

    frame: pl.LazyFrame
    columns: Mapping[str, Column]
    broken: Mapping[str, pl.Expr]
    is_valid: pl.Expr

    def describe_broken(self) -> pl.Expr:
        """The names of the rules that a row breaks, separated by semicolons; empty if none."""
        names = [pl.when(broken).then(pl.lit(rule)) for rule, broken in self.broken.items()]
        return pl.concat_str([pl.lit(None, pl.String), *names], separator="; ", ignore_nulls=True)

    def typed(self) -> list[pl.Expr]:
        """The typed columns under their own names; null where a value could not be read."""
        return [typed_value(name).alias(name) for name in self.columns]


def typed_value(name: str) -> pl.Expr:
    """The typed value of a column in `CheckedRows.frame`."""
    return pl.col(_TYPED + name)


def check_rows(
    raw: pl.LazyFrame,
    columns: Mapping[str, Column],
    source: SourceSettings,
    required: Collection[str] = (),
    rules: Mapping[str, pl.Expr] | None = None,
) -> CheckedRows:
    """Parse `columns` and compare each value with the schema, and each row with `rules` of one's own, in one lazy pass.

    `raw` holds strings, null where missing, in which numbers are written as `source` says; columns that are not in
    `columns` are kept as they are. `required` ones may not be missing, whatever the schema says (the target). Where a
    column takes the unseen, a category that is not listed is null.
    """
    parsed = {_TYPED + name: _parse(name, column, source) for name, column in columns.items()}
    broken = dict(rules or {})
    for name, column in columns.items():
        text, value, takes_all = pl.col(name), typed_value(name), column.unseen == "take"
        if not (column.is_string or (column.categories and takes_all)):
            broken[f"{name}: {'category' if column.categories else 'type'}"] = text.is_not_null() & value.is_null()
        if name in required or not column.nullable:
            broken[f"{name}: missing"] = text.is_null()
        if column.minimum is not None and not takes_all:
            broken[f"{name}: minimum"] = value < column.minimum
        if column.maximum is not None and not takes_all:
            broken[f"{name}: maximum"] = value > column.maximum
    is_valid = ~pl.any_horizontal(pl.lit(False), *(violation.fill_null(False) for violation in broken.values()))
    return CheckedRows(raw.with_columns(**parsed).with_columns(is_valid.alias(_VALID)), columns, broken, pl.col(_VALID))


def parse_number(raw: pl.Expr, decimal_comma: bool = False) -> pl.Expr:
    """The number that a string is, null where it is none."""
    if decimal_comma:
        raw = raw.str.replace(",", ".", literal=True)
    number = raw.cast(pl.Float64, strict=False)
    # Infinity is written by broken exports, never measured.
    return pl.when(number.is_finite()).then(number)


def parse_timestamp(raw: pl.Expr, form: str) -> pl.Expr:
    """The point in time that a string is, without a zone, null where it is none; with `%z`, in UTC."""
    zone = "UTC" if "%z" in form else None
    # What Python writes as .%f, polars would read as nanoseconds.
    form = form.replace(".%f", "%.f")
    return raw.str.to_datetime(form, time_unit="us", time_zone=zone, strict=False).dt.replace_time_zone(None)


def _parse(name: str, column: Column, source: SourceSettings) -> pl.Expr:
    raw = pl.col(name)
    if column.is_string:
        return raw
    if column.type == "category":
        return raw.cast(pl.Enum(column.categories), strict=False)
    if column.type == "boolean":
        words = dict.fromkeys(TRUE_WORDS, True) | dict.fromkeys(FALSE_WORDS, False)
        return raw.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    if column.type == "timestamp":
        return parse_timestamp(raw, column.format)
    number = parse_number(raw, source.decimal_comma)
    return pl.when(number == number.round()).then(number) if column.type == "integer" else number
