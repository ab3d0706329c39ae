"""How a file is written: its separator, whether commas are decimal marks, spaces around values."""

import csv
import re
from itertools import islice
from pathlib import Path

import polars as pl

from ...config import SourceSettings
from ...errors import ProjectError
from ...terminal import track
from ..loading import BLANKS, check_file, explain_polars_errors

# Words that mean missing wherever they stand, in whatever column.
_MISSING = ("-", "--", "?", "N/A", "n/a", "N.A.", "#N/A", "#DIV/0!", "NULL", "Null", "nan", "NaT", "<NA>", "\\N")
_NULL_VALUES = (*SourceSettings().null_values, *_MISSING)
_SEPARATORS = (",", ";", "\t", "|")
_HEAD_LINES = 2_000
# 1,234 may be a grouped integer; 1,5 or 12,3456 cannot.
_DECIMAL_COMMA = re.compile(r"\s*(?![-+]?\d{1,3}(,\d{3})+\s*$)[-+]?\d+,\d+\s*")


def read_dialect(path: Path, encoding: str) -> tuple[SourceSettings, list[str]]:
    """How a file is to be read, and its header; a text is read once in full to see that it holds together.

    Raises ProjectError where it is empty, of another format, or its lines have different numbers of fields.
    """
    check_file(path)
    if path.suffix.lower() == ".parquet":
        with explain_polars_errors(path):
            return SourceSettings(null_values=_NULL_VALUES), list(pl.read_parquet_schema(path))
    try:
        return _read_text(path, encoding)
    except (UnicodeError, csv.Error) as error:
        hint = "save a workbook as CSV, give another --encoding, such as cp1252, or look for a quote that is not closed"
        raise ProjectError(f"{path} cannot be read as {encoding} ({error}); {hint}.") from error


def _read_text(path: Path, encoding: str) -> tuple[SourceSettings, list[str]]:
    csv.field_size_limit(10_000_000)
    with path.open(encoding="utf-8-sig" if encoding == "utf8" else encoding, newline="") as text:
        head = list(islice(text, _HEAD_LINES))
        separator, (header, *rows) = _split_lines(path, head)
        if not any(map(any, rows)):
            raise ProjectError(f"{path} has a header line and no rows; it needs rows to learn from.")
        text.seek(0)
        lines = csv.reader(track(text, "Reading lines"), delimiter=separator)
        strange = (f"line {lines.line_num} has {len(line)}" for line in lines if line and len(line) != len(header))
        if wrong := ", ".join(islice(strange, 3)):
            raise ProjectError(f"{path}: the header has {len(header)} fields, but {wrong}. Mend these lines.")
    cells = [*header, *(cell for row in rows for cell in row)]
    trim = any(cell != cell.strip(BLANKS) and cell.strip(BLANKS) for cell in cells)
    has_commas = any(map(_DECIMAL_COMMA.fullmatch, cells))
    found = {"separator": separator, "encoding": encoding, "trim": trim, "decimal_comma": has_commas}
    source = SourceSettings.model_validate(found | {"null_values": _NULL_VALUES})
    return source, [name.strip(BLANKS) if trim else name for name in header]


def _split_lines(path: Path, lines: list[str]) -> tuple[str, list[list[str]]]:
    splits = {
        mark: list(filter(None, csv.reader(lines, delimiter=mark)))
        for mark in ("\t" if path.suffix.lower() == ".tsv" else _SEPARATORS)
    }

    def count_alike(mark: str) -> tuple[float, int]:
        widths = [len(record) for record in splits[mark]] or [1]
        return (widths.count(widths[0]) / len(widths) if widths[0] > 1 else 0, widths[0])

    best = max(splits, key=count_alike)
    if not count_alike(best)[0]:
        tried = " ".join(map(repr, splits))
        raise ProjectError(f"{path} has no header of several columns; none of {tried} separates them.")
    return best, splits[best]
