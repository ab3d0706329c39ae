"""How a file is written: its encoding, its separator, how it marks numbers and blanks."""

import codecs
import csv
import io
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from ...config import SourceSettings, describe_errors
from ...errors import ProjectError
from ...terminal import track
from ..loading import BLANKS, check_file, explain_polars_errors

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

_HEAD_CHARACTERS = 1 << 20
_FOREIGN_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV, or unpack it",
    b"\x1f\x8b": "compressed with gzip: unpack it",
}
# 1,234 may be a grouped integer; 1,5 or 12,3456 cannot.
_DECIMAL_COMMA = re.compile(r"\s*(?![-+]?\d{1,3}(,\d{3})+\s*$)[-+]?\d+,\d+\s*")


def parse_options(thousands: str = "", null_values: Iterable[str] = (), **said: str | bool | None) -> SourceSettings:
    """What a user says of a file; what is not set is to be found out. Raises ProjectError where no file can be so."""
    marks = {"\\t": "\t"} | {name: mark for mark, name in SEPARATORS.items()}
    said = {name: marks.get(str(value), value) for name, value in said.items() if value not in (None, "")}
    if thousands == ".":
        said.setdefault("decimal_comma", True)
    words = (*SourceSettings().null_values, *null_values)
    try:
        return SourceSettings.model_validate(said | {"thousands": thousands, "null_values": words})
    except ValidationError as error:
        raise ProjectError(f"These options fit no file:\n{describe_errors(error)}") from error


def read_dialect(path: Path, given: SourceSettings) -> tuple[SourceSettings, list[str]]:
    """How a file is to be read, and its header; a text is read once in full to see that it holds together.

    Raises ProjectError where it is empty, of another format, or its lines have different numbers of fields.
    """
    check_file(path)
    if path.suffix.lower() == ".parquet":
        with explain_polars_errors(path):
            return given, list(pl.read_parquet_schema(path))
    for encoding in [given.encoding] if "encoding" in given.model_fields_set else _guess_encodings(path):
        try:
            return _read_text(path, encoding, given)
        except (UnicodeError, csv.Error) as error:
            reason = error
    hint = "give its encoding with --encoding, or look for a quote that is not closed"
    raise ProjectError(f"{path} cannot be read as {encoding} ({reason}); {hint}.") from reason


def _guess_encodings(path: Path) -> list[str]:
    with path.open("rb") as file:
        start = file.read(4)
    for magic, what in _FOREIGN_FORMATS.items():
        if start.startswith(magic):
            raise ProjectError(f"{path} is {what}.")
    # The last takes any bytes, where five mean nothing in Windows' encoding.
    is_wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return ["utf-16"] if is_wide else ["utf8", "cp1252", "latin-1"]


def _read_text(path: Path, encoding: str, given: SourceSettings) -> tuple[SourceSettings, list[str]]:
    csv.field_size_limit(10_000_000)
    with path.open(encoding="utf-8-sig" if encoding.startswith("utf8") else encoding, newline="") as text:
        head = text.read(_HEAD_CHARACTERS)
        separator = _find_separator(path, _require_text(path, head), given)
        header, *rows = _head_records(head, separator)
        if not any(map(any, rows)):
            raise ProjectError(f"{path} has a header line and no rows; it needs rows to learn from.")
        text.seek(0)
        _check_fields(path, csv.reader(text, delimiter=separator), len(header))
    cells = [*header, *(cell for row in rows for cell in row)]
    trim = any(cell != cell.strip(BLANKS) and cell.strip(BLANKS) for cell in cells)
    may_have = "decimal_comma" not in given.model_fields_set and given.thousands != ","
    has_commas = may_have and any(map(_DECIMAL_COMMA.fullmatch, cells))
    found = {"separator": separator, "encoding": encoding, "trim": trim}
    names = [name.strip(BLANKS) if trim else name for name in header]
    return given.model_copy(update=found | {"decimal_comma": given.decimal_comma or has_commas}), names


def _require_text(path: Path, head: str) -> str:
    if "\0" in head:
        raise ProjectError(f"{path} is no text file (it has NUL characters); save it as CSV in UTF-8.")
    if not head.strip():
        raise ProjectError(f"{path} is empty; it needs a header line and rows.")
    if head.startswith("sep="):
        raise ProjectError(f"{path} begins with the line 'sep=…' that Excel writes; remove that line.")
    return head


def _head_records(head: str, separator: str) -> list[list[str]]:
    complete = head if len(head) < _HEAD_CHARACTERS else head[: head.rfind("\n") + 1]
    records = csv.reader(io.StringIO(complete, newline=""), delimiter=separator)
    return list(islice(filter(None, records), 2_000))


def _find_separator(path: Path, head: str, given: SourceSettings) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    candidates = [given.separator] if "separator" in given.model_fields_set else list(SEPARATORS)
    best, best_score = "", (0.0, 0)
    for separator in candidates:
        widths = [len(record) for record in _head_records(head, separator)] or [0]
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if widths[0] > 1 and score > best_score:
            best, best_score = separator, score
    if not best:
        tried = ", ".join(SEPARATORS.get(separator, repr(separator)) for separator in candidates)
        raise ProjectError(f"{path} has a single column when split at {tried}; give its separator with --separator.")
    return best


def _check_fields(path: Path, reader: Any, width: int) -> None:
    lines = ((len(record), reader.line_num) for record in track(reader, "Reading lines") if record)
    strange = (f"line {number} has {fields}" for fields, number in lines if fields != width)
    wrong = list(islice(strange, 3))
    if wrong:
        raise ProjectError(
            f"{path}: the header has {width} fields, but {', '.join(wrong)}. "
            "Mend these lines, or give another separator with --separator."
        )
