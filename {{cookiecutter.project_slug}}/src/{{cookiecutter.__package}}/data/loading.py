"""Raw files as lazy frames of strings, so that validation decides what a value is."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
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

_SUFFIXES = (".csv", ".tsv", ".parquet")
_KINDS = ", ".join(_SUFFIXES)


def find_raw_files(project: Project) -> list[Path]:
    """The raw files, sorted by name. Raises ProjectError where there is none."""
    pattern = project.pipeline.source.files
    files = sorted(path for path in project.raw.glob(pattern) if path.suffix.lower() in _SUFFIXES)
    if not files:
        message = f"No {_KINDS} file matches {pattern!r} in {project.raw}"
        raise ProjectError(f"{message}; put one there, or change source.files in config/pipeline.yaml.")
    return files


def scan_table(path: Path, source: SourceSettings, wanted: Collection[str] = ()) -> pl.LazyFrame:
    """A CSV, TSV or Parquet file as strings, null where missing, with its row number in `_row`, from 1.

    Raises ProjectError where it does not exist, is of another kind, cannot be read, or lacks a column of `wanted`.
    """
    check_file(path)
    with explain_polars_errors(path):
        is_parquet = path.suffix.lower() == ".parquet"
        table = frame_as_strings(pl.scan_parquet(path, glob=False) if is_parquet else _scan_text(path, source), source)
        if wanted:
            require_columns(path, table.collect_schema().names(), wanted)
    return table


def frame_as_strings(frame: pl.LazyFrame, source: SourceSettings) -> pl.LazyFrame:
    """A frame as `scan_table` gives it: strings, null where missing, with its row number in `_row`."""
    texts = []
    for place, (name, dtype) in enumerate(frame.collect_schema().items()):
        text = pl.nth(place).cast(pl.String)
        if isinstance(dtype, pl.List | pl.Array | pl.Struct | pl.Binary | pl.Object | pl.Duration):
            # Only a schema that names such a column ever looks at it.
            text = pl.lit(None, dtype=pl.String)
        elif source.trim:
            text = text.str.strip_chars(BLANKS)
        known = pl.when(~text.is_in(list(source.null_values))).then(text)
        texts.append(known.alias(_rename_column(name, source.trim)))
    return frame.select(texts).with_row_index(ROW_NUMBER, offset=1)


def check_file(path: Path) -> None:
    """Raise ProjectError where a path is no table: absent, a folder, or of another suffix."""
    if not path.is_file():
        raise ProjectError(f"{path} does not exist, or is a folder; give the path of a {_KINDS} file.")
    if path.suffix.lower() not in _SUFFIXES:
        raise ProjectError(f"{path} is no {_KINDS} file; convert it to one of these.")


def require_columns(path: Path, found: list[str], wanted: Collection[str]) -> None:
    """Raise ProjectError where a file's header lacks a column that the schema needs."""
    present = set(found)
    if missing := [repr(name) for name in wanted if name not in present]:
        shown = ", ".join(repr(name) for name in found if name != ROW_NUMBER)
        message = f"{path} lacks the column(s) {', '.join(missing)}; it has {shown}. Mend the file, config/schema.yaml"
        raise ProjectError(f"{message}, or source.separator in config/pipeline.yaml.")


@contextmanager
def explain_polars_errors(path: Path) -> Iterator[None]:
    """Turn what polars raises on a damaged file into a ProjectError that names the file."""
    try:
        yield
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"{path} cannot be read: {reason}. See source in config/pipeline.yaml.") from error


def _scan_text(path: Path, source: SourceSettings) -> pl.LazyFrame:
    return pl.scan_csv(
        # polars reads UTF-8 alone; a file in another encoding is held in memory.
        path if source.encoding == "utf8" else path.read_bytes().decode(source.encoding).encode(),
        separator="\t" if path.suffix.lower() == ".tsv" else source.separator,
        infer_schema=False,
        glob=False,
    )


def _rename_column(name: str, trim: bool) -> str:
    # Not empty, none of our own, and no pattern of polars.
    name = (name.strip(BLANKS) if trim else name) or "unnamed"
    is_pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return f"column {name}" if is_pattern or name in OWN_NAMES or name.startswith(OWN_PREFIXES) else name
