"""Raw files as lazy frames of strings, so that cleaning decides what a value is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from ..config import Project, SourceSettings
from ..errors import ProjectError

ROW_NUMBER = "_row"

_TEXT_SUFFIXES = (".csv", ".tsv")
_SUFFIXES = (*_TEXT_SUFFIXES, ".parquet")


def find_raw_files(project: Project) -> list[Path]:
    """The raw files, sorted by name.

    Raises:
        ProjectError: there is none.
    """
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

    Raises:
        ProjectError: the file does not exist, is empty, or is of another kind.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise ProjectError(f"{path} does not exist; give the path of a {', '.join(_SUFFIXES)} file.")
    if suffix not in _SUFFIXES:
        raise ProjectError(f"{path} is no {', '.join(_SUFFIXES)} file; convert it to one of these.")
    if path.stat().st_size == 0:
        raise ProjectError(f"{path} is empty; remove it or restore it.")
    with explain_polars_errors(path):
        if suffix in _TEXT_SUFFIXES:
            return pl.scan_csv(
                path,
                separator="\t" if suffix == ".tsv" else source.separator,
                encoding=source.encoding,
                null_values=list(source.null_values),
                infer_schema=False,
                row_index_name=ROW_NUMBER,
                row_index_offset=1,
            )
        frame = pl.scan_parquet(path)
        nulls = list(source.null_values)
        return frame.select(
            pl.when(pl.col(name).is_in(nulls)).then(None).otherwise(pl.col(name)).alias(name)
            if dtype == pl.String
            else pl.col(name).cast(pl.String)
            for name, dtype in frame.collect_schema().items()
        ).with_row_index(ROW_NUMBER, offset=1)


def require_columns(path: Path, found: list[str], wanted: list[str]) -> None:
    """Compare a file's header with the columns that the schema needs.

    Raises:
        ProjectError: a column is missing.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        shown = ", ".join(repr(name) for name in found if name != ROW_NUMBER)
        raise ProjectError(
            f"{path} lacks the column(s) {', '.join(map(repr, missing))}; it has {shown}. "
            "Mend the file, config/schema.yaml, or source.separator in config/pipeline.yaml."
        )


@contextmanager
def explain_polars_errors(path: Path) -> Iterator[None]:
    """Turn what polars raises on a damaged file into a message that names the file.

    Raises:
        ProjectError: polars could not read the file.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"{path} cannot be read: {reason}. See source in config/pipeline.yaml.") from error
