"""Strings become typed values, and each row learns which rules of the schema it breaks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from ..schema import Column

RuleKind = Literal["type", "missing", "minimum", "maximum", "category"]

_TYPED = "typed "
_VALID = "_valid"

_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")


@dataclass(frozen=True)
class Rule:
    """One thing that the schema asks of one column."""

    column: str
    kind: RuleKind

    @property
    def name(self) -> str:
        """The rule as users read it in reports."""
        return f"{self.column}: {self.kind}"


@dataclass(frozen=True)
class CheckedRows:
    """Raw and typed values side by side, and what tells whether a row breaks a rule.

    The rules themselves are looked at only where they matter, in the few rows that are not valid.
    """

    frame: pl.LazyFrame
    columns: Mapping[str, Column]
    broken: Mapping[Rule, pl.Expr]

    @property
    def is_valid(self) -> pl.Expr:
        """Whether a row breaks no rule."""
        return pl.col(_VALID)

    def describe_broken(self) -> pl.Expr:
        """The names of the rules that a row breaks, separated by semicolons; empty if none."""
        names = [pl.when(broken).then(pl.lit(rule.name)) for rule, broken in self.broken.items()]
        return pl.concat_str(names, separator="; ", ignore_nulls=True)

    def typed(self) -> list[pl.Expr]:
        """The typed columns under their own names; null where a value could not be read."""
        return [typed_value(name).alias(name) for name in self.columns]


def typed_value(name: str) -> pl.Expr:
    """The typed value of a column in `CheckedRows.frame`."""
    return pl.col(_TYPED + name)


def check_rows(
    raw: pl.LazyFrame, columns: Mapping[str, Column], required: Collection[str] = (), decimal_comma: bool = False
) -> CheckedRows:
    """Parse `columns` and compare each value with the schema, in one lazy pass.

    Args:
        raw: strings, null where missing.
        columns: what to parse, by name; others are kept as they are.
        required: columns that may not be missing, whatever the schema says (the target).
        decimal_comma: whether numbers are written 1,5.
    """
    parsed = raw.with_columns(
        _parse(name, column, decimal_comma).alias(_TYPED + name) for name, column in columns.items()
    )
    broken = {
        rule: violation
        for name, column in columns.items()
        for rule, violation in _check_column(name, column, name in required)
    }
    is_valid = ~pl.any_horizontal(violation.fill_null(False) for violation in broken.values())
    return CheckedRows(parsed.with_columns(is_valid.alias(_VALID)), columns, broken)


def _parse(name: str, column: Column, decimal_comma: bool) -> pl.Expr:
    raw = pl.col(name)
    if column.type == "category":
        return raw.cast(pl.Enum(column.categories), strict=False)
    if column.type == "boolean":
        words = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
        return raw.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    if decimal_comma:
        raw = raw.str.replace(",", ".", literal=True)
    number = raw.cast(pl.Float64, strict=False)
    if column.type == "integer":
        number = pl.when(number == number.round()).then(number)
    # Infinity is written by broken exports, never measured.
    return pl.when(number.is_finite()).then(number)


def _check_column(name: str, column: Column, required: bool) -> list[tuple[Rule, pl.Expr]]:
    raw, value = pl.col(name), typed_value(name)
    unreadable: RuleKind = "category" if column.type == "category" else "type"
    checks = [(Rule(name, unreadable), raw.is_not_null() & value.is_null())]
    if required or not column.nullable:
        checks.append((Rule(name, "missing"), raw.is_null()))
    if column.minimum is not None:
        checks.append((Rule(name, "minimum"), value < column.minimum))
    if column.maximum is not None:
        checks.append((Rule(name, "maximum"), value > column.maximum))
    return checks
