"""Checked rows become three splits, one file for each raw file.

A row's split follows from its time, or from a number that depends on the row's values alone, so that it never changes
when rows are added, on any machine and with any version of the engine; an engine's own `hash()` promises none of that.
"""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from ..config import PipelineSettings, PlacedSplit
from ..errors import ProjectError
from ..schema import Schema
from .loading import ROW_NUMBER, explain_polars_errors, scan_table
from .validation import check_rows, typed_value

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

IDENTITY, _SPLIT = "_identity", "_split"
"""`IDENTITY` is a number that rows of one group share, or where there is none, rows that are alike."""
_SUFFIX = ".parquet"


def place_cutoffs(paths: list[Path], schema: Schema, settings: PipelineSettings) -> PlacedSplit:
    """The split with the cut-offs that its shares mean for the rows of these files, if it is one by time.

    Counts rows that have a time and a target; rows of one time are on one side. Holds 8 bytes a row. Raises
    ProjectError where the column has fewer than three times, or is none.
    """
    split = PlacedSplit.model_validate(settings.split.model_dump())
    if split.time_column is None:
        return split
    where = f"config/pipeline.yaml: split.time_column {split.time_column!r}"
    column = schema.columns.get(split.time_column)
    if column is None or not (column.is_numeric or column.type == "timestamp") or split.time_column == schema.target:
        message = f"{where} must be a column of type timestamp, number or integer in config/schema.yaml"
        raise ProjectError(f"{message}, and not the target; correct one of the two files.")
    parts, needed = [], {name: schema.columns[name] for name in (split.time_column, schema.target)}
    for path in paths:
        checked = check_rows(scan_table(path, settings.source, list(schema.columns)), needed, settings.source, needed)
        with explain_polars_errors(path):
            times = checked.frame.filter(checked.is_valid).select(value=typed_value(split.time_column))
            parts.append(times.collect(engine="streaming"))
    counts = pl.concat(parts).to_series().sort().rle().struct.unnest()
    points: list[datetime | float] = counts["value"].to_list()
    if len(points) < 3:
        message = f"{where} has {len(points)} different times, which cannot be cut into three splits"
        raise ProjectError(f"{message}; bring rows of other times, or leave it out.")
    before = counts["len"].cum_sum().shift(1, fill_value=0) / counts["len"].sum()
    test = 2 + ((before[2:] - (1 - split.test)).abs().arg_min() or 0)
    validation = 1 + ((before[1:test] - (1 - split.test - split.validation)).abs().arg_min() or 0)
    return split.model_copy(update={"validation_from": points[validation], "test_from": points[test]})


def is_unseen(now: PlacedSplit, then: PlacedSplit) -> bool:
    """Whether the test rows of `now` are new to who trained and chose by `then`, whatever rows were added since."""
    if now.time_column or then.time_column:
        is_later = now.test_from is not None and then.test_from is not None and now.test_from >= then.test_from  # type: ignore[operator]
        return now.time_column == then.time_column and is_later
    return (now.seed, now.group_by) == (then.seed, then.group_by) and now.test <= then.test


def split_file(
    path: Path, name: str, schema: Schema, settings: PipelineSettings, split: PlacedSplit, splits: Path, rejected: Path
) -> tuple[int, dict[str, int]]:
    """Check one raw file; write its good rows to the splits, its bad rows as CSV with the rules broken; count these.

    Deterministic and independent of all other files, so that it can run anywhere. `name` tells the file from the
    others in the folders `splits` and `rejected`. Raises ProjectError where the file lacks a column or cannot be read.
    """
    time, set_aside = split.time_column, rejected / f"{name}.csv"
    parsed = {name: column for name, column in schema.columns.items() if column.role == "feature" or name == time}
    raw, repeats = scan_table(path, settings.source, list(schema.columns)), dict[str, pl.Expr]()
    if settings.validation.duplicates == "reject":
        repeats["row: duplicate"] = ~pl.struct(list(schema.columns)).is_first_distinct()
    checked = check_rows(raw, parsed, settings.source, [schema.target, time or schema.target], repeats)
    # Rows that are alike belong to one split: a model must not be tested on what it was trained on.
    others = [name for name in schema.columns if name not in parsed]
    kept = [*checked.typed(), *others, ROW_NUMBER, _identify(schema).alias(IDENTITY)]
    by_split = pl.PartitionBy(
        splits,
        key=_split_of(split).alias(_SPLIT),
        include_key=False,
        file_path_provider=lambda part: f"{part.partition_keys.item()}/{name}{_SUFFIX}",
        approximate_bytes_per_file=None,
    )
    good, bad = checked.frame.filter(checked.is_valid).select(kept), checked.frame.filter(~checked.is_valid)
    as_it_was = [pl.col(column).alias("rules (input)" if column == "rules" else column) for column in schema.columns]
    outputs = [
        good.sink_parquet(by_split, compression="lz4", statistics=False, mkdir=True, lazy=True),
        bad.select(ROW_NUMBER, *as_it_was, checked.describe_broken().alias("rules")).sink_csv(
            set_aside, mkdir=True, lazy=True
        ),
        checked.frame.select(
            (~checked.is_valid).sum(), *(broken.sum().alias(rule) for rule, broken in checked.broken.items())
        ),
    ]
    with explain_polars_errors(path):
        rows, *counts = pl.collect_all(outputs, engine="streaming")[-1].row(0)
    if not rows:
        set_aside.unlink()
    return rows, dict(zip(checked.broken, counts, strict=True))


def read_split(splits: Path, split: Split, file_column: str | None = None) -> pl.DataFrame:
    """A split's typed columns, row numbers in the raw file, and identities; the part's path in `file_column`.

    Raises ProjectError where it is empty.
    """
    files = sorted((splits / split).glob(f"*{_SUFFIX}"))
    frame = pl.read_parquet(files, glob=False, include_file_paths=file_column) if files else pl.DataFrame()
    if frame.is_empty():
        raise ProjectError(
            f"The {split} split has no rows: run `data`, bring more, or change the shares in split of "
            "config/pipeline.yaml; where few rows differ in their features, give a column that tells rows apart "
            "`role: identifier` in config/schema.yaml."
        )
    return frame


def count_split(splits: Path, split: Split) -> int:
    """How many rows a split has."""
    files = list((splits / split).glob(f"*{_SUFFIX}"))
    return int(pl.scan_parquet(files, glob=False).select(pl.len()).collect().item()) if files else 0


def _scramble(number: pl.Expr, seed: int) -> pl.Expr:
    # Another 64-bit number, in which each bit depends on many bits of the first.
    for place in range(2):
        number = (number ^ (number // pl.lit(1 << 32, dtype=pl.UInt64))) * _constant(f"{seed} {place}")
    return number


def fraction(number: pl.Expr) -> pl.Expr:
    """The number's upper 53 bits as a share in [0, 1)."""
    return (number // pl.lit(1 << 11, dtype=pl.UInt64)).cast(pl.Float64) / (1 << 53)


def is_sampled(share: float) -> pl.Expr:
    """Whether a row is one of this share of all rows; its number decides, so that it is the same each time."""
    return fraction(_scramble(pl.col(ROW_NUMBER).cast(pl.UInt64), 0)) < share


def _split_of(settings: PlacedSplit) -> pl.Expr:
    if settings.time_column is not None:
        time = pl.col(settings.time_column)
        is_test, is_held_out = time >= pl.lit(settings.test_from), time >= pl.lit(settings.validation_from)
    else:
        place = fraction(_scramble(pl.col(IDENTITY), settings.seed))
        is_test, is_held_out = place < settings.test, place < settings.test + settings.validation
    return pl.when(is_test).then(pl.lit("test")).when(is_held_out).then(pl.lit("validation")).otherwise(pl.lit("train"))


def _identify(schema: Schema) -> pl.Expr:
    names = schema.groups or schema.identifiers
    words = [word for name in names for word in _spell(pl.col(name))]
    alike = []
    for name, column in schema.features.items():
        value = typed_value(name)
        if column.is_string:
            alike += _spell(value)
        elif column.is_numeric:
            # -0.0 and 0.0 are one value with two bit patterns.
            alike.append((value + 0.0).reinterpret(dtype=pl.UInt64))
        else:
            alike.append(value.to_physical().cast(pl.Int64).reinterpret(dtype=pl.UInt64))
    if not names:
        return _combine(alike)
    # Rows whose group is missing are no group.
    is_known = pl.any_horizontal(pl.col(names).is_not_null())
    return pl.when(is_known).then(_combine(words)).otherwise(_combine(alike)) if schema.groups else _combine(words)


def _spell(text: pl.Expr) -> list[pl.Expr]:
    # The first and last 16 bytes of a string, and its length.
    data, blank = text.cast(pl.Binary), pl.lit(bytes(16))
    ends = ((data + blank).bin.head(16), (blank + data).bin.tail(16))
    halves = (end.bin.slice(place, 8) for end in ends for place in (0, 8))
    words = [half.bin.reinterpret(dtype=pl.UInt64, endianness="little") for half in halves]
    return [*words, data.bin.size().cast(pl.UInt64)]


def _combine(words: list[pl.Expr]) -> pl.Expr:
    # Multilinear hashing (Carter and Wegman, 1981): words times odd constants of their places, summed modulo 2^64.
    terms = (word.fill_null(0x9E3779B9) * _constant(f"-1 {place}") for place, word in enumerate(words))
    return _scramble(pl.sum_horizontal(terms), -1)


def _constant(text: str) -> pl.Expr:
    return pl.lit(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") | 1, dtype=pl.UInt64)
