"""Raw files as lazy frames of strings, so that cleaning decides what a value is."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

import polars as pl

from ..config import Project, SourceSettings
from ..errors import ProjectError
from .validation import OWN_PREFIXES

ROW_NUMBER = "_row"
OWN_NAMES = (ROW_NUMBER, "_identity", "_split", "_file")
"""Columns that the stages add; a file's column of such a name is read under another."""

BLANKS = " \t\u00a0"
"""What is cut off at both ends where `source.trim` says so."""

_TEXT_SUFFIXES = (".csv", ".tsv")
_SUFFIXES = (*_TEXT_SUFFIXES, ".parquet")
_POLARS_ENCODINGS = ("utf8", "utf8-lossy")
_COPY_CHARACTERS = 1 << 20


def find_raw_files(project: Project) -> list[Path]:
    """The raw files, sorted by name. Raises ProjectError where there is none."""
    pattern = project.pipeline.source.files
    files = sorted(path for path in project.raw.glob(pattern) if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise ProjectError(
            f"No {', '.join(_SUFFIXES)} file matches {pattern!r} in {project.raw}; "
            "put one there, or change source.files in config/pipeline.yaml."
        )
    return files


def scan_table(path: Path, source: SourceSettings) -> pl.LazyFrame:
    """A CSV, TSV or Parquet file as strings, null where missing, with its row number in `_row`, from 1.

    Raises ProjectError where it does not exist, is empty, or is of another kind.
    """
    check_file(path)
    suffix = path.suffix.lower()
    with explain_polars_errors(path):
        if suffix not in _TEXT_SUFFIXES:
            return frame_as_strings(pl.scan_parquet(path), source)
        text = pl.scan_csv(
            path if source.encoding in _POLARS_ENCODINGS else _copy_as_utf8(path, source.encoding),
            separator="\t" if suffix == ".tsv" else source.separator,
            encoding="utf8-lossy" if source.encoding == "utf8-lossy" else "utf8",
            null_values=None if source.trim else list(source.null_values),
            infer_schema=False,
            row_index_name=ROW_NUMBER,
            row_index_offset=1,
            with_column_names=lambda names: rename_columns(names, source.trim),
        )
    if not source.trim:
        return text
    cells = pl.col(pl.String).str.strip_chars(BLANKS)
    return text.with_columns(pl.when(~cells.is_in(list(source.null_values))).then(cells))


def frame_as_strings(frame: pl.LazyFrame, source: SourceSettings) -> pl.LazyFrame:
    """A typed frame as `scan_table` gives it: strings, null where missing, with its row number in `_row`."""
    found = frame.collect_schema()
    renamed = rename_columns(found.names(), source.trim)
    return frame.select(
        _as_string(name, found[name], source).alias(alias) for name, alias in zip(found.names(), renamed, strict=True)
    ).with_row_index(ROW_NUMBER, offset=1)


def check_file(path: Path) -> None:
    """Raise ProjectError where a path is no table: a folder, absent, empty, or of another suffix."""
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
        example = f", such as {path / inside[0]}" if inside else ""
        raise ProjectError(f"{path} is a folder; give the path of a {', '.join(_SUFFIXES)} file{example}.")
    if not path.is_file():
        raise ProjectError(f"{path} does not exist; give the path of a {', '.join(_SUFFIXES)} file.")
    if path.suffix.lower() not in _SUFFIXES:
        raise ProjectError(f"{path} is no {', '.join(_SUFFIXES)} file; convert it to one of these.")
    if path.stat().st_size == 0:
        raise ProjectError(f"{path} is empty; remove it or restore it.")


def rename_columns(names: Iterable[str], trim: bool = False) -> list[str]:
    """The names under which a file's columns are read: unlike our own, not empty, and no pattern of polars."""
    renamed: dict[str, None] = {}
    for name in names:
        new = (name.strip(BLANKS) if trim else name) or "unnamed"
        if is_own_name(new):
            new = f"column {new}"
        while new in renamed:
            new += "_"
        renamed[new] = None
    return list(renamed)


def is_own_name(name: str) -> bool:
    """Whether a column of that name would be taken for one of ours, or for a pattern."""
    is_pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return is_pattern or name in OWN_NAMES or name.startswith(OWN_PREFIXES)


def is_nested(dtype: pl.DataType) -> bool:
    """Whether a Parquet column holds what is no string, number or time; it is read as missing."""
    return isinstance(dtype, pl.List | pl.Array | pl.Struct | pl.Binary | pl.Object)


def rename_taken(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """New names for those that a report needs for columns of its own."""
    return {name: f"{name} (input)" for name in names if name in set(taken)}


def require_columns(path: Path, found: list[str], wanted: list[str]) -> None:
    """Raise ProjectError where a file's header lacks a column that the schema needs."""
    present = set(found)
    missing = [name for name in wanted if name not in present]
    if missing:
        shown = ", ".join(repr(name) for name in found if name != ROW_NUMBER)
        raise ProjectError(
            f"{path} lacks the column(s) {', '.join(map(repr, missing))}; it has {shown}. "
            "Mend the file, config/schema.yaml, or source.separator in config/pipeline.yaml."
        )


@contextmanager
def explain_polars_errors(path: Path) -> Iterator[None]:
    """Turn what polars raises on a damaged file into a ProjectError that names the file."""
    try:
        yield
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"{path} cannot be read: {reason}. See source in config/pipeline.yaml.") from error


def _as_string(name: str, dtype: pl.DataType, source: SourceSettings) -> pl.Expr:
    if is_nested(dtype):
        # Only a schema that names such a column ever looks at it.
        return pl.lit(None, dtype=pl.String)
    is_duration = isinstance(dtype, pl.Duration)
    value = pl.col(name).dt.total_microseconds() / 1e6 if is_duration else pl.col(name)
    text = value.cast(pl.String)
    if source.decimal_comma and (is_duration or dtype.is_numeric()):
        # Written as the project's texts are, so that both are read alike.
        text = text.str.replace(".", ",", literal=True)
    if source.trim:
        text = text.str.strip_chars(BLANKS)
    return pl.when(~text.is_in(list(source.null_values))).then(text)


def _copy_as_utf8(path: Path, encoding: str) -> Path:
    # polars reads UTF-8 alone; the copy lives as long as the process.
    status = path.stat()
    key = sha256(f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {encoding}".encode()).hexdigest()
    copy = Path(_copies().name) / f"{key}.csv"
    if copy.exists():
        return copy
    partial = copy.with_suffix(".partial")
    with path.open(encoding=encoding, newline="") as source, partial.open("w", encoding="utf-8", newline="") as target:
        while text := source.read(_COPY_CHARACTERS):
            target.write(text)
    partial.replace(copy)
    return copy


@cache
def _copies() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tables-")
