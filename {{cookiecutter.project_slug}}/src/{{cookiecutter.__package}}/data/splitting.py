"""Checked rows become three splits, one file for each raw file, without duplicates.

A row's split follows from a number that depends on the row's values alone, so that it never changes when rows
are added, on any machine and with any version of the engine; an engine's own `hash()` promises none of that.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from ..config import PipelineSettings, SplitSettings
from ..errors import ProjectError
from ..schema import Column, Schema
from .loading import ROW_NUMBER, explain_polars_errors, rename_taken, require_columns, scan_table
from .validation import CheckedRows, check_rows, typed_value

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


Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

DUPLICATE_RULE = "row: duplicate"
RULES_COLUMN = "rules"
IDENTITY = "_identity"

_SPLIT = "_split"
_FILE = "_file"
_SUFFIX = ".parquet"
# Cells whose rows are compared at once in the search for duplicates; bounds its memory.
_CELLS_AT_ONCE = 40_000_000
_EXAMPLES = 5
_EXAMPLE_CHARACTERS = 80


@dataclass(frozen=True)
class FileResult:
    """What became of a raw file: rows rejected, rejections by rule, and a few cases of each rule."""

    rejected: int
    by_rule: dict[str, int]
    examples: dict[str, list[str]]


def split_file(
    path: Path, name: str, schema: Schema, settings: PipelineSettings, splits: Path, rejected: Path
) -> FileResult:
    """Check one raw file; write its good rows to the splits, its bad rows as CSV with the rules broken.

    Deterministic and independent of all other files, so that it can run anywhere. `name` tells the
    file from the others in the folders `splits` and `rejected`.

    Raises:
        ProjectError: the file lacks a column or cannot be read.
    """
    raw = scan_table(path, settings.source)
    with explain_polars_errors(path):
        found = raw.collect_schema().names()
    require_columns(path, found, list(schema.columns))
    time = settings.split.time_column
    _check_time_column(schema, settings.split)
    parsed = {name: column for name, column in schema.columns.items() if column.role == "feature" or name == time}
    checked = check_rows(
        raw,
        parsed,
        required=[schema.target] if time is None else [schema.target, time],
        decimal_comma=settings.source.decimal_comma,
        thousands=settings.source.thousands,
    )
    # Rows of one identifier, or with the same features, belong to one split: a model must not be
    # tested on what it was trained on.
    identity = identify_texts(schema.identifiers) if schema.identifiers else identify_values(schema.features)
    good = checked.frame.filter(checked.is_valid).select(
        *checked.typed(), *(name for name in schema.columns if name not in parsed), ROW_NUMBER, identity.alias(IDENTITY)
    )
    bad = checked.frame.filter(~checked.is_valid)
    bad_file = splits / f"{name}.rejected"
    by_split = pl.PartitionBy(
        splits,
        key=split_of(settings.split).alias(_SPLIT),
        include_key=False,
        file_path_provider=lambda part: f"{part.partition_keys.item()}/{name}{_SUFFIX}",
        approximate_bytes_per_file=None,
    )
    with explain_polars_errors(path):
        pl.collect_all(
            [
                good.sink_parquet(by_split, compression="lz4", statistics=False, mkdir=True, lazy=True),
                bad.sink_parquet(bad_file, mkdir=True, lazy=True),
            ],
            engine="streaming",
        )
    by_rule = _count_rules(bad_file, checked)
    result = FileResult(_count_rows([bad_file]), by_rule, _find_examples(bad_file, checked, by_rule))
    if result.rejected:
        _write_rejected(bad_file, checked, list(schema.columns), rejected / f"{name}.csv")
    bad_file.unlink()
    return result


@dataclass(frozen=True)
class Duplicates:
    """How many rows repeat an earlier one, and where a few of them are."""

    rows: int
    examples: list[str]


def reject_duplicates(split: Split, schema: Schema, splits: Path, rejected: Path) -> Duplicates:
    """Drop the rows of a split that repeat an earlier one in every column.

    Equal rows have equal identities and so are in one split, and only rows that share an identity
    need the costly comparison.
    """
    files = sorted((splits / split).glob(f"*{_SUFFIX}"))
    if not files:
        return Duplicates(0, [])
    columns = list(schema.columns)
    buckets = 1 + _count_rows(files) * len(columns) // _CELLS_AT_ONCE
    repeated = [_find_duplicates(files, columns, pl.col(IDENTITY) % buckets == bucket) for bucket in range(buckets)]
    duplicates = pl.concat(repeated)
    for (file,), rows in duplicates.group_by(_FILE, maintain_order=True):
        _drop_rows(Path(str(file)), rows)
    if duplicates.height:
        rejected.mkdir(parents=True, exist_ok=True)
        duplicates.select(
            pl.col(_FILE).map_elements(lambda file: Path(file).stem, return_dtype=pl.String).alias("file"),
            ROW_NUMBER,
            *_aside(columns, ["file", RULES_COLUMN]),
            pl.lit(DUPLICATE_RULE).alias(RULES_COLUMN),
        ).write_csv(rejected / f"duplicates-{split}.csv")
    cases = duplicates.head(_EXAMPLES).select(_FILE, ROW_NUMBER).iter_rows()
    return Duplicates(duplicates.height, [f"{Path(file).stem} row {row}" for file, row in cases])


def read_split(splits: Path, split: Split, file_column: str | None = None) -> pl.DataFrame:
    """The rows of a split: typed columns, row number in the raw file, identity; the part's path in `file_column`.

    Raises:
        ProjectError: there are none.
    """
    files = sorted((splits / split).glob(f"*{_SUFFIX}"))
    if not files:
        raise ProjectError(f"No {split} rows in {splits}; run the `data` stage first.")
    frame = pl.read_parquet(files, include_file_paths=file_column)
    if frame.is_empty():
        raise ProjectError(
            f"The {split} split has no rows; bring more data, or raise its share in split of config/pipeline.yaml."
        )
    return frame


def count_split(splits: Path, split: Split) -> int:
    """How many rows a split has."""
    return _count_rows(sorted((splits / split).glob(f"*{_SUFFIX}")))


def split_of(settings: SplitSettings) -> pl.Expr:
    """The split of a row with its identity in `IDENTITY` and its columns typed."""
    if settings.time_column is not None:
        time = pl.col(settings.time_column)
        return (
            pl.when(time >= pl.lit(settings.test_from))
            .then(pl.lit("test"))
            .when(time >= pl.lit(settings.validation_from))
            .then(pl.lit("validation"))
            .otherwise(pl.lit("train"))
        )
    place = fraction(scramble(pl.col(IDENTITY), settings.seed))
    held_out = settings.test + settings.validation
    return (
        pl.when(place < settings.test)
        .then(pl.lit("test"))
        .when(place < held_out)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
    )


def _check_time_column(schema: Schema, settings: SplitSettings) -> None:
    name = settings.time_column
    if name is None:
        return
    column = schema.columns.get(name)
    wanted = "timestamp" if isinstance(settings.test_from, datetime) else "number or integer"
    if column is None or column.type not in wanted.split(" or ") or name == schema.target:
        raise ProjectError(
            f"config/pipeline.yaml: split.time_column {name!r} must be a column of type {wanted} in "
            "config/schema.yaml, and not the target; correct one of the two files."
        )


def _find_duplicates(files: list[Path], columns: list[str], in_bucket: pl.Expr) -> pl.DataFrame:
    # Sorting finds shared identities in half the time and memory that hashing them takes.
    identities = pl.scan_parquet(files).select(IDENTITY).filter(in_bucket).collect().to_series().sort()
    shared = identities.filter(identities == identities.shift()).unique()
    rows = pl.scan_parquet(files, include_file_paths=_FILE).filter(pl.col(IDENTITY).is_in(shared.implode()))
    suspects = (rows if len(shared) else rows.head(0)).collect()
    return suspects.filter(~pl.struct(columns).is_first_distinct())


def _drop_rows(file: Path, rows: pl.DataFrame) -> None:
    kept = file.with_suffix(".kept")
    dropped = rows[ROW_NUMBER].implode()
    pl.scan_parquet(file).filter(~pl.col(ROW_NUMBER).is_in(dropped)).sink_parquet(
        kept, compression="lz4", statistics=False
    )
    kept.replace(file)


def _count_rows(files: list[Path]) -> int:
    return int(pl.scan_parquet(files).select(pl.len()).collect().item()) if files else 0


def _count_rules(bad_file: Path, checked: CheckedRows) -> dict[str, int]:
    counts = pl.scan_parquet(bad_file).select(broken.sum().alias(rule.name) for rule, broken in checked.broken.items())
    return {name: count for name, count in counts.collect(engine="streaming").row(0, named=True).items() if count}


def _find_examples(bad_file: Path, checked: CheckedRows, by_rule: dict[str, int]) -> dict[str, list[str]]:
    rules = {rule: broken for rule, broken in checked.broken.items() if rule.name in by_rule}
    bad = pl.scan_parquet(bad_file)
    found = pl.collect_all(
        [bad.filter(broken).head(_EXAMPLES).select(ROW_NUMBER, rule.column) for rule, broken in rules.items()]
    )
    return {
        rule.name: [
            f"row {row}" if value is None else f"row {row}: {value[:_EXAMPLE_CHARACTERS]}"
            for row, value in frame.iter_rows()
        ]
        for rule, frame in zip(rules, found, strict=True)
    }


def _aside(columns: list[str], taken: list[str]) -> list[pl.Expr]:
    renamed = rename_taken(columns, taken)
    return [pl.col(name).alias(renamed.get(name, name)) for name in columns]


def _write_rejected(bad_file: Path, checked: CheckedRows, columns: list[str], target: Path) -> None:
    bad = pl.scan_parquet(bad_file).select(
        ROW_NUMBER, *_aside(columns, [RULES_COLUMN]), checked.describe_broken().alias(RULES_COLUMN)
    )
    bad.sink_csv(target, mkdir=True)
