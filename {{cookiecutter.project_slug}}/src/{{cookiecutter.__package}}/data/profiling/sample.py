"""A sample of the raw rows: spread over all files, the same each time, and bounded in memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ...config import Project
from ...files import hash_file
from ...terminal import track
from ..loading import ROW_NUMBER, explain_polars_errors, find_raw_files, require_columns, scan_table
from ..splitting import fraction, identify_texts, identify_values, scramble
from ..validation import check_rows

_MOST_ROWS = 200_000
_MOST_CELLS = 20_000_000
_CELLS_AT_ONCE = 2_000_000
# Longer texts of columns that the model does not see are cut, so that a column of documents fits in memory.
_LONGEST_TEXT = 200
_IDENTITY = "identity"
_IDENTITY_SEED = -2


@dataclass(frozen=True)
class RawFile:
    """A raw file: its path under `data/raw`, its rows, its size in bytes and the sha256 of its content."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Sample:
    """Rows as they came, before any is rejected.

    `frame` has typed features and target, null where missing or unreadable, and the other columns as
    text. `broken` counts the sampled rows that break each rule, under column and kind.
    `duplicate_share` is the share of all rows that repeat an earlier one in every column: exact where
    the sample holds all rows, otherwise estimated.
    """

    files: tuple[RawFile, ...]
    frame: pl.DataFrame
    broken: dict[tuple[str, str], int]
    duplicate_share: float

    @property
    def rows(self) -> int:
        """How many rows the files have."""
        return sum(file.rows for file in self.files)


def read_sample(project: Project, most_rows: int = _MOST_ROWS) -> Sample:
    """About `most_rows` of the raw rows, fewer of a wide table, or all rows if there are no more.

    A row's place in its file decides whether it is taken, so that the same files give the same sample.

    Raises:
        ProjectError: a raw file cannot be used.
    """
    schema = project.schema
    paths = find_raw_files(project)
    files = tuple(_describe_file(project, path) for path in track(paths, "Counting rows"))
    limit = min(most_rows, _MOST_CELLS // len(schema.columns))
    share = min(1.0, limit / max(1, sum(file.rows for file in files)))
    parts = list(track(_sample_files(project, paths, share), "Sampling rows"))
    broken = Counter[tuple[str, str]]()
    for part in parts:
        broken.update(part.broken)
    identities = pl.concat([part.identities for part in parts])
    repeated = identities.len() - identities.n_unique()
    return Sample(files, pl.concat([part.frame for part in parts]), broken, repeated / max(1, identities.len()))


@dataclass(frozen=True)
class _Part:
    frame: pl.DataFrame
    broken: dict[tuple[str, str], int]
    identities: pl.Series


def _describe_file(project: Project, path: Path) -> RawFile:
    raw = scan_table(path, project.pipeline.source)
    with explain_polars_errors(path):
        require_columns(path, raw.collect_schema().names(), list(project.schema.columns))
        rows = int(raw.select(pl.len()).collect(engine="streaming").item())
    return RawFile(path.relative_to(project.raw).as_posix(), rows, path.stat().st_size, hash_file(path))


def _sample_files(project: Project, paths: list[Path], share: float) -> Iterator[_Part]:
    columns = list(project.schema.columns)
    for place, path in enumerate(paths):
        raw = scan_table(path, project.pipeline.source).select(ROW_NUMBER, *columns)
        # An empty first batch gives a file without rows its columns.
        yield _sample_batch(project, raw.head(0), place, share)
        # Batches of so many cells: the engine's own are of so many rows, and fill gigabytes where the table is wide.
        size = max(1, _CELLS_AT_ONCE // len(columns))
        with explain_polars_errors(path):
            for batch in raw.collect_batches(chunk_size=size, maintain_order=True, engine="streaming"):
                yield _sample_batch(project, batch.lazy(), place, share)


def _sample_batch(project: Project, raw: pl.LazyFrame, file: int, share: float) -> _Part:
    columns = project.schema.columns
    features = {name: column for name, column in columns.items() if column.role == "feature"}
    others = [name for name in columns if name not in features]
    checked = check_rows(
        raw,
        features,
        required=[project.schema.target],
        decimal_comma=project.pipeline.source.decimal_comma,
        thousands=project.pipeline.source.thousands,
    )
    broken = {(rule.column, rule.kind): violation for rule, violation in checked.broken.items()}
    taken = checked.frame.filter(_is_taken(pl.col(ROW_NUMBER).cast(pl.UInt64), file, share))
    # Rows that repeat each other have one identity, so that they are taken together or not at all, and
    # their share among those taken estimates the share among all.
    identity = identify_values(features) ^ identify_texts(others) if others else identify_values(features)
    identities = checked.frame.select(identity.alias(_IDENTITY)).filter(
        _is_taken(pl.col(_IDENTITY), _IDENTITY_SEED, share)
    )
    texts = [pl.col(name).str.head(_LONGEST_TEXT) for name in others]
    frame, counts, found = pl.collect_all(
        [
            taken.select(*checked.typed(), *texts).select(list(columns)),
            taken.select(violation.sum().alias(str(rule)) for rule, violation in broken.items()),
            identities,
        ]
    )
    return _Part(frame, dict(zip(broken, counts.row(0), strict=True)), found[_IDENTITY])


def _is_taken(number: pl.Expr, seed: int, share: float) -> pl.Expr:
    return fraction(scramble(number, seed)) < share
