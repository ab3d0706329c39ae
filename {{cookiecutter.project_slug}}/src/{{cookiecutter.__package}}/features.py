"""From columns to the feature matrix: the one function that training, batch and the API share.

Numbers, integers and booleans are float64 arrays, NaN where missing; categories with a list are int64 codes, the index
in the schema's categories, -1 where missing or not listed; texts and categories without a list are object arrays of
str, None where missing; timestamps are float64 days since 1970-01-01, of UTC where they tell their zone, NaN where
missing.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .config import DerivedFeature
from .errors import ProjectError
from .schema import Column, Schema

if TYPE_CHECKING:
    import polars as pl

Values = NDArray[Any]
Columns = dict[str, Values]

MISSING_CODE = -1

_EPOCH = datetime(1970, 1, 1)
_DAY = 86_400_000_000  # microseconds
_CALENDAR = (" year", " month", " day", " day of year", " weekday", " days since 1970")
_MISSING_DAY = (math.nan,) * len(_CALENDAR)


class RowReader:
    """Turns rows that the schema accepted into columns; made once a model, called once a request."""

    def __init__(self, schema: Schema) -> None:
        self._readers = {name: _make_reader(column) for name, column in schema.features.items()}

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Columns:
        """The features of `rows`; a column that a row leaves out counts as missing.

        Raises KeyError or ValueError where a value is of another type, or a category that is refused.
        """
        return {name: read([row.get(name) for row in rows]) for name, read in self._readers.items()}


def _make_reader(column: Column) -> Callable[[list[Any]], Values]:
    if column.is_string:
        return lambda values: np.array(values, dtype=object)
    if column.type == "category":
        codes: dict[str | None, int] = {None: MISSING_CODE}
        codes |= {name: code for code, name in enumerate(column.categories)}
        if column.unseen == "take":
            return lambda values: np.array([codes.get(value, MISSING_CODE) for value in values], dtype=np.int64)
        return lambda values: np.array([codes[value] for value in values], dtype=np.int64)
    if column.type == "timestamp":
        days = make_clock(column.format)
        return lambda values: np.array([np.nan if value is None else days(value) for value in values])
    return lambda values: np.array(values, dtype=np.float64)


def make_clock(form: str) -> Callable[[str], float]:
    """What reads a timestamp of this format as days since 1970-01-01; it raises ValueError where a text is none.

    ISO 8601 is understood too, with a time of day and with a zone where the format has them, unless the format's
    day comes before its month, so that the two could be taken for each other.
    """
    has_clock, has_zone = Column(type="timestamp", format=form).has_clock, form.endswith(("Z", "%z"))
    forms = [form.replace("%.f", part) for part in (".%f", "")]

    def parse(text: str) -> datetime:
        if text[4:5] == "-" and not form.startswith("%Y-%d"):
            with suppress(ValueError):
                moment = datetime.fromisoformat(text)
                if (len(text) > 10, moment.tzinfo is not None) == (has_clock, has_zone):
                    return moment
        for known in forms:
            with suppress(ValueError):
                return datetime.strptime(text, known)
        example = datetime(2024, 12, 31, 18, 30, tzinfo=UTC).strftime(forms[-1])
        raise ValueError(f"Input should be a time such as {example}")

    def read(text: str) -> float:
        moment = parse(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        return (moment - _EPOCH) // timedelta(microseconds=1) / _DAY

    return read


def tell_time(days: float, form: str) -> str:
    """Days since 1970-01-01 as a text of this format."""
    moment = (_EPOCH + timedelta(microseconds=round(days * _DAY))).replace(tzinfo=UTC)
    # strftime leaves out the zeros before a year.
    return moment.strftime(form.replace("%.f", ".%f").replace("%Y", f"{moment.year:04}"))


def columns_from_frame(schema: Schema, frame: "pl.DataFrame") -> Columns:
    """The features of a frame that cleaning made; categories with a list are of the schema's own Enum type."""
    return {name: _read_series(column, frame[name]) for name, column in schema.features.items()}


def _read_series(column: Column, series: "pl.Series") -> Values:
    if column.is_string:
        return series.to_numpy()
    if column.type == "category":
        return series.to_physical().cast(int).fill_null(MISSING_CODE).to_numpy()
    numbers = series.to_physical().cast(float).fill_null(float("nan")).to_numpy()
    return numbers / _DAY if column.type == "timestamp" else numbers


_Numbers = NDArray[np.float64]
Encode = Callable[[Values], Values]  # (rows,) to (rows, features), or (rows,) for a single one

OPERATIONS: dict[str, Callable[..., _Numbers]] = {
    "ratio": lambda left, right: left / right,
    "product": lambda left, right: left * right,
    "difference": lambda left, right: left - right,
    "log1p": np.log1p,
}
"""What `operation` of a derived feature may name: a function of as many columns as it has arguments.

It gets arrays of float64, (rows,), NaN where missing, and gives one such array, each row's value from that row
alone. Timestamps are in days, so that their difference is too. What is not finite counts as missing.
"""


def read_calendar(days: Values) -> Values:
    """Year, month, day, day of the year, weekday (Monday is 0) and days since 1970-01-01: (rows, 6)."""
    parts = [_MISSING_DAY if math.isnan(day) else _read_day(math.floor(day)) for day in days.tolist()]
    return np.array(parts).reshape(-1, len(_CALENDAR))


@lru_cache(maxsize=100_000)
def _read_day(day: int) -> tuple[float, ...]:
    date = _EPOCH + timedelta(day)
    return date.year, date.month, date.day, date.timetuple().tm_yday, date.weekday(), day


def read_clock(days: Values) -> Values:
    """Hours since midnight."""
    hours: Values = np.rint((days - np.floor(days)) * _DAY) / (_DAY / 24)
    return hours


def count_characters(values: Values) -> Values:
    """How long each text is."""
    return np.array([np.nan if value is None else len(value) for value in values.tolist()])


def hash_values(values: Values) -> Values:
    """A number below 2^16 that strings share if they are equal, and rarely else; -1 where missing."""
    texts = values.tolist()
    return np.array([MISSING_CODE if text is None else zlib.crc32(text.encode()) % 2**16 for text in texts])


_PIECES = 256  # a power of two; see _hash_pieces
_ROWS_AT_ONCE = 500  # what is hashed fits the processor's cache
# Odd numbers, by which the places in a piece are told apart.
_FACTORS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x2C1B3C6D], dtype=np.uint32)


def _hash_pieces(values: list[str | None]) -> Values:
    """Counts of two, three and four bytes that follow each other in a word, in lower case, a space before and after it.

    A piece's hash says where in the row and with which sign it is counted (Weinberger and others, Feature Hashing for
    Large Scale Multitask Learning, 2009). Counts are taken to the logarithm; each row has length 1, or 0 without any.
    """
    texts = [b"" if value is None else value.lower().encode() for value in values]
    content = np.frombuffer(b" %b   " % b" ".join(texts), dtype=np.uint8).astype(np.uint32)
    is_space = content <= ord(" ")
    content[is_space] = ord(" ")
    # A piece belongs to the row of its second byte, and has spaces at its ends alone.
    rows = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])
    two = np.flatnonzero(~(is_space[:-3] & is_space[1:-2]))
    three = np.flatnonzero(~is_space[1:-2])
    four = three[~is_space[three + 2]]
    pairs = content[:-3] * _FACTORS[0] + content[1:-2] * _FACTORS[1]
    triples = pairs + content[2:-1] * _FACTORS[2]
    hashes = np.concatenate([pairs[two], triples[three], triples[four] + content[four + 3] * _FACTORS[3]])
    hashes = (hashes ^ (hashes >> np.uint32(15))) * _FACTORS[4]
    # The upper bits depend on all others: the place, and last the sign.
    places = rows[np.concatenate([two, three, four])] * (2 * _PIECES) + hashes // np.uint32(2**31 // _PIECES)
    found = np.bincount(places, minlength=len(texts) * 2 * _PIECES).reshape(-1, _PIECES, 2)
    counts = found[:, :, 0] - found[:, :, 1]
    pieces = np.sign(counts) * np.log1p(np.abs(counts))
    lengths = np.sqrt((pieces**2).sum(axis=1, keepdims=True))
    normed: Values = pieces / np.maximum(lengths, 1e-9)
    return normed


def _find_encodings(column: Column) -> list[tuple[tuple[str, ...], Encode]]:
    """How a column becomes features: what is said of each behind its name, and what makes them."""
    if column.type == "timestamp":
        return [(_CALENDAR, read_calendar), *[((" hour",), read_clock)] * column.has_clock]
    if column.is_string:
        return [((" length",), count_characters) if column.type == "text" else (("",), hash_values)]
    if not column.categories:
        return [(("",), lambda values: values)]
    codes = np.arange(len(column.categories))
    return [(tuple(f"={category}" for category in column.categories), lambda values: values[:, np.newaxis] == codes)]


@dataclass(frozen=True)
class FeaturePlan:
    """Which feature stands in which place of the matrix.

    `codes` are the places that hold the hash of a value, a number below 2^16 that only tells equal from different, -1
    where missing; `texts` where the hashed pieces of a text begin and end, all 0 where missing. The scikit-learn
    pipeline learns what they mean. `flags` are the places that say whether what is in the others is missing.
    """

    names: tuple[str, ...]
    encoded: tuple[tuple[slice | int, str, Encode], ...]
    derived: tuple[tuple[int, DerivedFeature], ...]
    strings: tuple[str, ...]
    texts: tuple[tuple[int, int], ...]
    codes: tuple[int, ...]
    flags: tuple[tuple[int, ...], tuple[int, ...]]


def plan_features(schema: Schema, derived: tuple[DerivedFeature, ...] = ()) -> FeaturePlan:
    """Lay out the matrix, column by column, then `derived`.

    A number has its place; a timestamp one for each part of the date; a category one for each that is listed, or one
    for its hash; a text a block, and so a category without a list where there are more than two labels, since ONNX has
    no mean of the target for these. A flag follows what may be missing.

    Raises ProjectError where a derived feature has no such operation, operands or name.
    """
    names: list[str] = []
    encoded: list[tuple[slice | int, str, Encode]] = []
    texts, codes, flags = dict[str, tuple[int, int]](), list[int](), dict[int, int]()
    for name, column in schema.features.items():
        first = len(names)
        for parts, encode in _find_encodings(column):
            place, width = len(names), len(parts)
            is_block = width > 1 or column.categories
            encoded.append((slice(place, place + width) if is_block else place, name, encode))
            names += [name + part for part in parts]
            codes += [place] * (encode is hash_values)
        if column.type == "text" or (column.is_string and len(schema.labels) > 2):
            texts[name] = (len(names), len(names) + _PIECES)
            names += [f"{name} #{place}" for place in range(1, _PIECES + 1)]
        if column.nullable and column.type != "category":
            flags[len(names)] = first
            names.append(f"{name} is missing")
    placed = tuple(enumerate(derived, start=len(names)))
    for _, feature in placed:
        if not _is_possible(feature, schema, names):
            wanted = f"a name of its own, one of {', '.join(OPERATIONS)}, and as many numeric features or timestamps"
            raise ProjectError(f"config/model.yaml: derived feature {feature.name!r} needs {wanted} as that takes.")
        names.append(feature.name)
    pieces, missing = (tuple(texts), tuple(texts.values())), (tuple(flags), tuple(flags.values()))
    return FeaturePlan(tuple(names), tuple(encoded), placed, *pieces, tuple(codes), missing)


def _is_possible(feature: DerivedFeature, schema: Schema, taken: list[str]) -> bool:
    operation, features = OPERATIONS.get(feature.operation), schema.features
    if operation is None or feature.name in taken:
        return False
    wanted = operation.nin if isinstance(operation, np.ufunc) else len(signature(operation).parameters)
    are_numeric = (name in features and features[name].type not in ("category", "text") for name in feature.columns)
    return len(feature.columns) == wanted and all(are_numeric)


def engineer_features(columns: Columns, plan: FeaturePlan) -> NDArray[np.float32]:
    """The feature matrix, (rows, features), NaN where a number is missing or undefined."""
    rows = len(next(iter(columns.values())))
    matrix = np.empty((rows, len(plan.names)), dtype=np.float32)
    with np.errstate(all="ignore"):
        for start in range(0, rows, _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            _fill(matrix[some], {name: values[some] for name, values in columns.items()}, plan)
    return matrix


def _fill(matrix: NDArray[np.float32], columns: Columns, plan: FeaturePlan) -> None:
    for places, name, encode in plan.encoded:
        matrix[:, places] = encode(columns[name])
    for place, feature in plan.derived:
        matrix[:, place] = OPERATIONS[feature.operation](*(columns[name] for name in feature.columns))
    for name, (start, stop) in zip(plan.strings, plan.texts, strict=True):
        matrix[:, start:stop] = _hash_pieces(columns[name].tolist())
    flags, flagged = plan.flags
    matrix[:, flags] = np.isnan(matrix[:, flagged])
    matrix[~np.isfinite(matrix)] = np.nan


def is_missing(values: Values) -> NDArray[np.bool_]:
    """Which values of a column are missing."""
    if values.dtype == object:
        return np.array([value is None for value in values.tolist()], dtype=bool)
    return values == MISSING_CODE if values.dtype == np.int64 else np.isnan(values)
