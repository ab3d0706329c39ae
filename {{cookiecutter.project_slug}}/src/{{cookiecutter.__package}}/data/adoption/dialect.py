"""How a text file is written: its encoding, its separator, how it marks numbers and blanks."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from ...config import SourceSettings, describe_errors
from ...errors import ProjectError
from ...terminal import track
from ..loading import BLANKS

SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

_HEAD_CHARACTERS = 1 << 20
_HEAD_RECORDS = 2_000
_LONGEST_FIELD = 10_000_000
_SHOWN_LINES = 3
_FOREIGN_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it",
    b"PAR1": "Parquet: rename it so that it ends in .parquet",
}
_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+")
_GROUPED_BY_COMMA = re.compile(r"[-+]?\d{1,3}(,\d{3})+")


@dataclass(frozen=True)
class DialectOptions:
    """What a user says about the file; None or empty where it is to be found out."""

    separator: str | None = None
    encoding: str | None = None
    decimal_comma: bool | None = None
    thousands: str = ""
    null_values: tuple[str, ...] = ()

    def read(self) -> SourceSettings:
        """The settings that they make. Raises ProjectError where a file cannot have one of them."""
        separator = {name: mark for mark, name in NAMES.items()}.get(self.separator or "", self.separator or ",")
        try:
            return SourceSettings(
                separator=separator.replace("\\t", "\t"),
                encoding=self.encoding or "utf8",  # type: ignore[arg-type]
                decimal_comma=self.thousands == "." if self.decimal_comma is None else self.decimal_comma,
                thousands=self.thousands,
                null_values=(*SourceSettings().null_values, *self.null_values),
            )
        except ValidationError as error:
            raise ProjectError(f"These options fit no file:\n{describe_errors(error)}") from error


@dataclass(frozen=True)
class Dialect:
    """The settings to read a file with, its header as it stands, and what is worth telling."""

    source: SourceSettings
    header: list[str]
    notes: list[str] = field(default_factory=list)


def detect_dialect(path: Path, options: DialectOptions) -> Dialect:
    """Find out how a CSV or TSV file is written, and read it once in full to see that it holds together.

    Raises ProjectError where it is empty, of another format, or its lines have different numbers of fields.
    """
    given = options.read()
    encoding = options.encoding or _detect_encoding(path)
    with _explain_decoding(path, encoding):
        head = _read_head(path, encoding)
        separator = _find_separator(path, head, given.separator if options.separator else None)
        records = _head_records(head, separator)
        header = records[0]
        rows = [record for record in records[1:] if any(record)]
        if not rows:
            raise ProjectError(f"{path} has a header line and no rows; it needs rows to learn from.")
        _check_fields(path, encoding, separator, len(header))
    cells = [*header, *(cell for row in rows for cell in row)]
    trim = any(text != text.strip(BLANKS) and text.strip(BLANKS) for text in cells)
    decimal_comma = options.decimal_comma
    if decimal_comma is None:
        decimal_comma = given.decimal_comma or (options.thousands != "," and any(map(_has_decimal_comma, cells)))
    notes = [f"The text is {encoding}, not UTF-8; it is converted whenever it is read."] if encoding != "utf8" else []
    notes += ["Numbers have decimal commas."] if decimal_comma and options.decimal_comma is None else []
    found = {"separator": separator, "encoding": encoding, "trim": trim, "decimal_comma": decimal_comma}
    names = [name.strip(BLANKS) if trim else name for name in header]
    return Dialect(given.model_copy(update=found), names, notes)


def _read_head(path: Path, encoding: str) -> str:
    with path.open(encoding=_codec(encoding), newline="") as text:
        head = text.read(_HEAD_CHARACTERS)
    if "\0" in head:
        raise ProjectError(f"{path} is no text file (it has NUL characters); save it as CSV in UTF-8.")
    if not head.strip():
        raise ProjectError(f"{path} is empty; it needs a header line and rows.")
    if head.startswith("sep="):
        raise ProjectError(f"{path} begins with the line 'sep=…' that Excel writes; remove that line.")
    if "\r" in head and "\n" not in head:
        raise ProjectError(f"{path} ends its lines with CR alone, as old Macs did; save it with LF or CRLF.")
    return head


def _detect_encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    for magic, what in _FOREIGN_FORMATS.items():
        if start.startswith(magic):
            raise ProjectError(f"{path} is {what}.")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding in ("utf8", "cp1252"):
        try:
            with path.open(encoding=encoding, newline="") as text:
                while text.read(_HEAD_CHARACTERS):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"  # takes any bytes, where five mean nothing in Windows' encoding


def _codec(encoding: str) -> str:
    return "utf-8-sig" if encoding.startswith("utf8") else encoding


@contextmanager
def _explain_decoding(path: Path, encoding: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        raise ProjectError(f"{path} is not {encoding} ({error}); give its encoding with --encoding.") from error
    except csv.Error as error:
        raise ProjectError(f"{path} cannot be read as CSV: {error}; look for a quote that is not closed.") from error


def _head_records(head: str, separator: str) -> list[list[str]]:
    complete = head if len(head) < _HEAD_CHARACTERS else head[: head.rfind("\n") + 1]
    csv.field_size_limit(_LONGEST_FIELD)
    records = csv.reader(io.StringIO(complete, newline=""), delimiter=separator)
    return list(islice((record for record in records if record), _HEAD_RECORDS))


def _find_separator(path: Path, head: str, given: str | None) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    candidates = [given] if given else list(SEPARATORS)
    best, best_score = "", (0.0, 0)
    for separator in candidates:
        records = _head_records(head, separator)
        width = len(records[0]) if records else 0
        share = sum(len(record) == width for record in records) / max(len(records), 1)
        if width > 1 and (share, width) > best_score:
            best, best_score = separator, (share, width)
    if not best:
        tried = ", ".join(NAMES.get(separator, repr(separator)) for separator in candidates)
        raise ProjectError(f"{path} has a single column when split at {tried}; give its separator with --separator.")
    return best


def _check_fields(path: Path, encoding: str, separator: str, width: int) -> None:
    with path.open(encoding=_codec(encoding), newline="") as text:
        reader = csv.reader(text, delimiter=separator)
        lines = ((len(record), reader.line_num) for record in track(reader, "Reading lines") if record)
        strange = (f"line {number} has {fields}" for fields, number in lines if fields != width)
        wrong = list(islice(strange, _SHOWN_LINES))
    if wrong:
        raise ProjectError(
            f"{path}: the header has {width} fields, but {', '.join(wrong)}. "
            "Mend these lines, or give another separator with --separator."
        )


def _has_decimal_comma(cell: str) -> bool:
    # 1,234 may be a grouped integer; 1,5 or 12,3456 cannot.
    text = cell.strip()
    return bool(_COMMA_NUMBER.fullmatch(text)) and not _GROUPED_BY_COMMA.fullmatch(text)
