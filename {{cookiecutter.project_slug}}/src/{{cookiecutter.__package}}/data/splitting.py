"""Checked rows become three splits, one file for each raw file, without duplicates.

A row's split follows from its time, or from a number that depends on the row's values alone, so that it never
changes when rows are added, on any machine and with any version of the engine; an engine's own `hash()` promises
none of that.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from ..config import PipelineSettings, SplitSettings
from ..errors import ProjectError
from ..schema import Column, Schema
from .loading import ROW_NUMBER, explain_polars_errors, rename_taken, require_columns, scan_table
from .validation import CheckedRows, check_rows, typed_value

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

_WORD_BYTES = 8
_TEXT_WORDS = 2
_LOWER_BITS = 1 << 32
_FRACTION_BITS = 53
_MISSING = 0x9E3779B9
_WORD_SEED = -1


@dataclass
class Rejections:
    """Rows rejected; for each rule, how many rows broke it and where a few of them are."""

    rows: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: "Rejections") -> None:
        """Take in what became of another file."""
        self.rows += other.rows
        self.by_rule.update(other.by_rule)
        for rule, cases in other.examples.items():
            self.examples[rule] = [*self.examples.get(rule, []), *cases][:_EXAMPLES]


def place_cutoffs(paths: list[Path], schema: Schema, settings: PipelineSettings) -> SplitSettings:
    """The split with the cut-offs that its shares mean for the rows of these files, if it is one by time.

    Counts rows that have a time and a target; rows of one time are on one side. Holds 8 bytes a row. Raises
    ProjectError where the column has fewer than three times, or is none.
    """
    split = settings.split
    if split.time_column is not None:
        _check_time_column(schema, split)
    if split.time_column is None or split.test_from is not None:
        return split
    times = pl.concat([_read_times(path, split.time_column, schema, settings) for path in paths])
    counts = times.sort().rle().struct.unnest()
    points: list[datetime | float] = counts["value"].to_list()
    if len(points) < 3:
        raise ProjectError(
            f"config/pipeline.yaml: split.time_column {split.time_column!r} has {len(points)} different times, which "
            "cannot be cut into three splits; bring rows of other times, or leave it out."
        )
    before = counts["len"].cum_sum().shift(1, fill_value=0) / times.len()
    test = 2 + _nearest(before[2:], 1 - split.test)
    validation = 1 + _nearest(before[1:test], 1 - split.test - split.validation)
    return split.model_copy(update={"validation_from": points[validation], "test_from": points[test]})


def is_unseen(now: SplitSettings, then: SplitSettings) -> bool:
    """Whether the test rows of `now` are new to who trained and chose by `then`, whatever rows were added since."""
    if now.time_column or then.time_column:
        is_later = now.test_from is not None and then.test_from is not None and now.test_from >= then.test_from  # type: ignore[operator]
        return now.time_column == then.time_column and is_later
    return (now.seed, now.group_by) == (then.seed, then.group_by) and now.test <= then.test


def split_file(
    path: Path, name: str, schema: Schema, settings: PipelineSettings, splits: Path, rejected: Path
) -> Rejections:
    """Check one raw file; write its good rows to the splits, its bad rows as CSV with the rules broken.

    Deterministic and independent of all other files, so that it can run anywhere; the cut-offs of a split by time
    must be in `settings`. `name` tells the file from the others in the folders `splits` and `rejected`.
    Raises ProjectError where the file lacks a column or cannot be read.
    """
    time = settings.split.time_column
    parsed = [name for name, column in schema.columns.items() if column.role == "feature" or name == time]
    checked = _check_file(path, schema, settings, parsed)
    # Rows of one identifier, or with the same features, belong to one split: a model must not be
    # tested on what it was trained on.
    identity = identify_texts(schema.identifiers) if schema.identifiers else identify_values(schema.features)
    by_row = settings.split.group_by == "row" and not schema.identifiers
    good = checked.frame.filter(checked.is_valid).select(
        *checked.typed(), *(name for name in schema.columns if name not in parsed), ROW_NUMBER, identity.alias(IDENTITY)
    )
    bad_file = splits / f"{name}.rejected"
    by_split = pl.PartitionBy(
        splits,
        key=split_of(settings.split, _identify_row(name) if by_row else pl.col(IDENTITY)).alias(_SPLIT),
        include_key=False,
        file_path_provider=lambda part: f"{part.partition_keys.item()}/{name}{_SUFFIX}",
        approximate_bytes_per_file=None,
    )
    with explain_polars_errors(path):
        pl.collect_all(
            [
                good.sink_parquet(by_split, compression="lz4", statistics=False, mkdir=True, lazy=True),
                checked.frame.filter(~checked.is_valid).sink_parquet(bad_file, mkdir=True, lazy=True),
            ],
            engine="streaming",
        )
    result = _describe_rejected(bad_file, name, checked)
    if result.rows:
        _write_rejected(bad_file, checked, list(schema.columns), rejected / f"{name}.csv")
    bad_file.unlink()
    return result


def reject_duplicates(schema: Schema, splits: Path, rejected: Path) -> Rejections:
    """Drop the rows that repeat an earlier one in every column; only rows of one identity are compared."""
    files = sorted(splits.glob(f"*/*{_SUFFIX}"))
    if not files:
        return Rejections()
    columns = list(schema.columns)
    buckets = 1 + _count_rows(files) * len(columns) // _CELLS_AT_ONCE
    repeated = [_find_duplicates(files, columns, pl.col(IDENTITY) % buckets == bucket) for bucket in range(buckets)]
    duplicates = pl.concat(repeated).with_columns(
        pl.col(_FILE).map_elements(lambda file: Path(file).parent.name, return_dtype=pl.String).alias(_SPLIT)
    )
    for (file,), rows in duplicates.group_by(_FILE, maintain_order=True):
        _drop_rows(Path(str(file)), rows)
    for (split,), rows in duplicates.group_by(_SPLIT):
        rejected.mkdir(parents=True, exist_ok=True)
        rows.select(
            pl.col(_FILE).map_elements(lambda file: Path(file).stem, return_dtype=pl.String).alias("file"),
            ROW_NUMBER,
            *_aside(columns, ["file", RULES_COLUMN]),
            pl.lit(DUPLICATE_RULE).alias(RULES_COLUMN),
        ).write_csv(rejected / f"duplicates-{split}.csv")
    examples = duplicates.select(_FILE, ROW_NUMBER).head(_EXAMPLES)
    cases = [f"{Path(file).stem} row {row}" for file, row in examples.iter_rows()]
    return Rejections(duplicates.height, Counter({DUPLICATE_RULE: duplicates.height}), {DUPLICATE_RULE: cases})


def read_split(splits: Path, split: Split, file_column: str | None = None) -> pl.DataFrame:
    """A split's typed columns, row numbers in the raw file, and identities; the part's path in `file_column`.

    Raises ProjectError where it is empty.
    """
    if not splits.is_dir():
        raise ProjectError(f"No {split} rows in {splits}; run the `data` stage first.")
    files = sorted((splits / split).glob(f"*{_SUFFIX}"))
    frame = pl.read_parquet(files, include_file_paths=file_column) if files else pl.DataFrame()
    if frame.is_empty():
        raise ProjectError(
            f"The {split} split has no rows. Bring more data, or change split in config/pipeline.yaml: raise its "
            "share, or, where few rows differ in their features, split those that are alike with `group_by: row`."
        )
    return frame


def count_split(splits: Path, split: Split) -> int:
    """How many rows a split has."""
    return _count_rows(sorted((splits / split).glob(f"*{_SUFFIX}")))


def split_of(settings: SplitSettings, identity: pl.Expr) -> pl.Expr:
    """The split of a row with typed columns: by its time, or else by its identity."""
    if settings.time_column is not None:
        time = pl.col(settings.time_column)
        is_test, is_held_out = time >= pl.lit(settings.test_from), time >= pl.lit(settings.validation_from)
    else:
        place = fraction(scramble(identity, settings.seed))
        is_test, is_held_out = place < settings.test, place < settings.test + settings.validation
    return pl.when(is_test).then(pl.lit("test")).when(is_held_out).then(pl.lit("validation")).otherwise(pl.lit("train"))


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
    terms = [
        word.fill_null(_MISSING) * pl.lit(_odd_number(_WORD_SEED, place), dtype=pl.UInt64)
        for place, word in enumerate(words)
    ]
    return scramble(pl.sum_horizontal(terms), _WORD_SEED)


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


def _identify_row(file: str) -> pl.Expr:
    digest = hashlib.sha256(file.encode()).digest()
    place = pl.lit(int.from_bytes(digest[:_WORD_BYTES], "little"), dtype=pl.UInt64)
    return _combine([pl.col(ROW_NUMBER).cast(pl.UInt64), place])


def _check_file(path: Path, schema: Schema, settings: PipelineSettings, names: list[str]) -> CheckedRows:
    raw = scan_table(path, settings.source)
    with explain_polars_errors(path):
        found = raw.collect_schema().names()
    require_columns(path, found, list(schema.columns))
    time = settings.split.time_column
    return check_rows(
        raw,
        {name: schema.columns[name] for name in names},
        required=[schema.target] if time is None else [schema.target, time],
        decimal_comma=settings.source.decimal_comma,
        thousands=settings.source.thousands,
    )


def _read_times(path: Path, time: str, schema: Schema, settings: PipelineSettings) -> pl.Series:
    checked = _check_file(path, schema, settings, [time, schema.target])
    with explain_polars_errors(path):
        times = checked.frame.filter(checked.is_valid).select(typed_value(time).alias("value"))
        return times.collect(engine="streaming").to_series()


def _nearest(shares: pl.Series, wanted: float) -> int:
    return (shares - wanted).abs().arg_min() or 0


def _check_time_column(schema: Schema, settings: SplitSettings) -> None:
    name = settings.time_column or ""
    column = schema.columns.get(name)
    wanted = ["timestamp", "number", "integer"]
    if settings.test_from is not None:
        wanted = wanted[:1] if isinstance(settings.test_from, datetime) else wanted[1:]
    if column is None or column.type not in wanted or name == schema.target:
        raise ProjectError(
            f"config/pipeline.yaml: split.time_column {name!r} must be a column of type {' or '.join(wanted)} in "
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


def _describe_rejected(bad_file: Path, name: str, checked: CheckedRows) -> Rejections:
    bad = pl.scan_parquet(bad_file)
    sums = [broken.sum().alias(rule.name) for rule, broken in checked.broken.items()]
    rows, *counts = bad.select(pl.len(), *sums).collect(engine="streaming").row(0)
    by_rule = {rule: count for rule, count in zip(checked.broken, counts, strict=True) if count}
    cases = [bad.filter(checked.broken[rule]).head(_EXAMPLES).select(ROW_NUMBER, rule.column) for rule in by_rule]
    examples = {
        rule.name: [
            f"{name} row {row}" if value is None else f"{name} row {row}: {value[:_EXAMPLE_CHARACTERS]}"
            for row, value in frame.iter_rows()
        ]
        for rule, frame in zip(by_rule, pl.collect_all(cases), strict=True)
    }
    return Rejections(rows, Counter({rule.name: count for rule, count in by_rule.items()}), examples)


def _aside(columns: list[str], taken: list[str]) -> list[pl.Expr]:
    renamed = rename_taken(columns, taken)
    return [pl.col(name).alias(renamed.get(name, name)) for name in columns]


def _write_rejected(bad_file: Path, checked: CheckedRows, columns: list[str], target: Path) -> None:
    bad = pl.scan_parquet(bad_file).select(
        ROW_NUMBER, *_aside(columns, [RULES_COLUMN]), checked.describe_broken().alias(RULES_COLUMN)
    )
    bad.sink_csv(target, mkdir=True)
