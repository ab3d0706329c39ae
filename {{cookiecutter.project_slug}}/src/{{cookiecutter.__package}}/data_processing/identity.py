"""Which row is which: a number that depends on the row's values alone.

A split that follows from it never changes when rows are added, on any machine and with any version
of the engine; an engine's own `hash()` promises none of that.
"""

import hashlib
from collections.abc import Mapping

import polars as pl

from ..schema import Column
from .cleaning import typed_value

_WORD_BYTES = 8
_TEXT_WORDS = 2
_LOWER_BITS = 1 << 32
_FRACTION_BITS = 53
_MISSING = 0x9E3779B9
_WORD_SEED = -1


def identify_values(columns: Mapping[str, Column]) -> pl.Expr:
    """A 64-bit number from the typed values of each row of `CheckedRows.frame`."""
    return _combine([_value_word(name, column) for name, column in columns.items()])


def identify_texts(names: list[str]) -> pl.Expr:
    """A 64-bit number from strings of each row: their first and last 16 bytes and their length."""
    return _combine([word for name in names for word in _text_words(name)])


def scramble(number: pl.Expr, seed: int) -> pl.Expr:
    """Another 64-bit number, in which each bit depends on many bits of the first."""
    for place in range(2):
        number = number ^ (number // pl.lit(_LOWER_BITS, dtype=pl.UInt64))
        number = number * pl.lit(_odd_number(seed, place), dtype=pl.UInt64)
    return number


def fraction(number: pl.Expr) -> pl.Expr:
    """The number's upper bits as a share in [0, 1)."""
    return (number // pl.lit(1 << (64 - _FRACTION_BITS), dtype=pl.UInt64)).cast(pl.Float64) / (1 << _FRACTION_BITS)


def _combine(words: list[pl.Expr]) -> pl.Expr:
    # Multilinear hashing (Carter and Wegman, 1981): each value's word times an odd constant of its
    # place, summed modulo 2^64.
    total = pl.lit(0, dtype=pl.UInt64)
    for place, word in enumerate(words):
        total = total + word.fill_null(_MISSING) * pl.lit(_odd_number(_WORD_SEED, place), dtype=pl.UInt64)
    return scramble(total, _WORD_SEED)


def _value_word(name: str, column: Column) -> pl.Expr:
    value = typed_value(name)
    if column.type == "category":
        return value.to_physical().cast(pl.UInt64)
    if column.type == "boolean":
        return value.cast(pl.UInt64)
    # -0.0 and 0.0 are one value with two bit patterns.
    return (value + 0.0).reinterpret(dtype=pl.UInt64)


def _text_words(name: str) -> list[pl.Expr]:
    data = pl.col(name).cast(pl.Binary)
    span = _TEXT_WORDS * _WORD_BYTES
    padded = data + pl.lit(b"\0" * span)
    ends = [padded.bin.head(span), (pl.lit(b"\0" * span) + data).bin.tail(span)]
    words = [
        end.bin.slice(place * _WORD_BYTES, _WORD_BYTES).bin.reinterpret(dtype=pl.UInt64, endianness="little")
        for end in ends
        for place in range(_TEXT_WORDS)
    ]
    return [*words, data.bin.size().cast(pl.UInt64)]


def _odd_number(seed: int, place: int) -> int:
    digest = hashlib.sha256(f"{seed} {place}".encode()).digest()
    return int.from_bytes(digest[:8], "little") | 1
