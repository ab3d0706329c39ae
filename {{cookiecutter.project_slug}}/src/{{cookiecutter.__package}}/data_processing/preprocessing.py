"""Checked rows become three splits, one file for each raw file, without duplicates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from ..config import PipelineSettings, SplitSettings
from ..errors import ProjectError
from ..schema import Schema
from .cleaning import CheckedRows, check_rows
from .identity import fraction, identify_texts, identify_values, scramble
from .loading import ROW_NUMBER, explain_polars_errors, require_columns, scan_table

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


@dataclass(frozen=True)
class FileResult:
    """What became of a raw file: rows rejected, and rejections by rule."""

    rejected: int
    by_rule: dict[str, int]


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
    parsed = {name: column for name, column in schema.columns.items() if column.role == "feature"}
    checked = check_rows(raw, parsed, required=[schema.target], decimal_comma=settings.source.decimal_comma)
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
        key=_split_of(settings.split).alias(_SPLIT),
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
    result = FileResult(_count_rows([bad_file]), _count_rules(bad_file, checked))
    if result.rejected:
        _write_rejected(bad_file, checked, list(schema.columns), rejected / f"{name}.csv")
    bad_file.unlink()
    return result


def reject_duplicates(split: Split, schema: Schema, splits: Path, rejected: Path) -> int:
    """Drop the rows of a split that repeat an earlier one in every column; how many there were.

    Equal rows have equal identities and so are in one split, and only rows that share an identity
    need the costly comparison.
    """
    files = sorted((splits / split).glob(f"*{_SUFFIX}"))
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
            *columns,
            pl.lit(DUPLICATE_RULE).alias(RULES_COLUMN),
        ).write_csv(rejected / f"duplicates-{split}.csv")
    return duplicates.height


def read_split(splits: Path, split: Split) -> pl.DataFrame:
    """The rows of a split: typed columns, row number in the raw file, identity.

    Raises:
        ProjectError: there are none.
    """
    files = sorted((splits / split).glob(f"*{_SUFFIX}"))
    if not files:
        raise ProjectError(f"No {split} rows in {splits}; run the `data` stage first.")
    frame = pl.read_parquet(files)
    if frame.is_empty():
        raise ProjectError(
            f"The {split} split has no rows; bring more data, or raise its share in split of config/pipeline.yaml."
        )
    return frame


def count_split(splits: Path, split: Split) -> int:
    """How many rows a split has."""
    return _count_rows(sorted((splits / split).glob(f"*{_SUFFIX}")))


def _split_of(settings: SplitSettings) -> pl.Expr:
    place = fraction(scramble(pl.col(IDENTITY), settings.seed))
    held_out = settings.test + settings.validation
    return (
        pl.when(place < settings.test)
        .then(pl.lit("test"))
        .when(place < held_out)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
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


def _write_rejected(bad_file: Path, checked: CheckedRows, columns: list[str], target: Path) -> None:
    bad = pl.scan_parquet(bad_file).select(ROW_NUMBER, *columns, checked.describe_broken().alias(RULES_COLUMN))
    bad.sink_csv(target, mkdir=True)
