"""The request log, read: segments of JSON lines become Parquet, and Parquet becomes a window.

The API appends lines, since a line is whole once it is written, and since its environment has nothing
that writes Parquet; here, where polars is, they are packed.
"""

import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from ..config import Project
from ..errors import ProjectError
from ..features import columns_from_frame
from ..files import write_bytes
from ..modeling.manifest import Manifest
from ..modeling.model import Scores
from ..schema import Column
from ..terminal import get_logger
from .log_format import ABANDONED_SECONDS, CLOSED, OPEN, PACKED
from .window import Window, find_truth, join_labels

ROW_ID = "row_id"

_ID = "_row_id"
_AT = "_at"
_PREDICTION = "_prediction"
_PROBABILITY = "_probability "

_logger = get_logger(__name__)


@dataclass(frozen=True)
class _Row:
    version: str
    values: dict[str, Any]


def _pack_segments(folder: Path) -> int:
    """Turn closed segments into one Parquet file a version; how many damaged lines or files were left out.

    A crash in between leaves rows twice, which reading mends; it never loses one.
    """
    segments = [path for path in sorted(folder.glob(f"*{CLOSED}")) if path.is_file()]
    segments += [path for path in sorted(folder.glob(f"*{OPEN}")) if _is_abandoned(path)]
    found, damaged = _read_segments(segments)
    by_version: dict[str, list[_Row]] = {}
    for row in found:
        by_version.setdefault(row.version, []).append(row)
    for version, rows in by_version.items():
        buffer = io.BytesIO()
        _make_frame(rows).write_parquet(buffer, compression="zstd")
        write_bytes(folder / f"{version}-{segments[0].stem}{PACKED}", buffer.getvalue())
    for path in segments:
        path.unlink(missing_ok=True)
    return damaged


def read_request_window(
    project: Project, manifest: Manifest, since: datetime, labels: Path | None, maximum_rows: int
) -> Window:
    """The logged rows that the version answered since then, the latest `maximum_rows` of them.

    The truth comes from the file `labels`, by its column `row_id`.

    Raises:
        ProjectError: nothing was logged, or `labels` cannot be used.
    """
    folder, table, version = project.requests, manifest.table, str(manifest.version)
    damaged = _pack_segments(folder) if folder.is_dir() else 0
    frames = []
    for path in sorted(folder.glob(f"{version}-*{PACKED}")):
        try:
            frames.append(_read_packed(path, manifest))
        except (pl.exceptions.PolarsError, OSError) as error:
            _logger.warning("%s is damaged and left out: %s", path, str(error).split("\n")[0])
            damaged += 1
    found, _ = _read_segments(sorted(folder.glob(f"*{OPEN}")))
    still_open = [row for row in found if row.version == version]
    if still_open:
        frames.append(_select(_make_frame(still_open), manifest))
    if not frames:
        others = sorted({path.name.split("-")[0] for path in folder.glob(f"*{PACKED}")} - {version})
        more = f"; there are some of {', '.join(others)}" if others else ""
        raise ProjectError(
            f"No requests that {version} answered are in {folder}{more}. "
            "Let it answer some with the request log on, or give rows by --table FILE."
        )
    frame = pl.concat(frames).filter(pl.col(_AT) >= since).unique(_ID, keep="first").sort(_AT, _ID).tail(maximum_rows)
    columns = columns_from_frame(table, frame)
    truth = None
    if labels is not None:
        truth = find_truth(manifest, join_labels(frame, project, table, labels, {_ID: ROW_ID}))
    return Window(
        source=f"requests since {since.isoformat(timespec='minutes')}",
        rows=frame.height,
        columns=columns,
        scores=_read_scores(frame, manifest),
        truth=truth,
        notes=[f"{damaged} damaged line(s) or file(s) of the request log were left out"] if damaged else [],
    )


def _is_abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_SECONDS
    except OSError:
        return False


def _read_segments(paths: Sequence[Path]) -> tuple[list[_Row], int]:
    rows: list[_Row] = []
    damaged = 0
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError:
            damaged += 1
            continue
        for text in content.split(b"\n"):
            if not text:
                continue
            found = _read_line(text)
            rows += found
            damaged += not found
    return rows, damaged


def _read_line(text: bytes) -> list[_Row]:
    """The rows of a line; none if it is damaged."""
    try:
        content = json.loads(text)
        version, rows = str(content["version"]), content["rows"]
        places = content["places"] or range(len(rows))
        predictions = content["predictions"] or [None] * len(rows)
        values = {_AT: datetime.fromtimestamp(content["at"], UTC)}
        read = [
            _Row(version, {_ID: f"{content['id']}-{place}", **values, **row, **_read_prediction(prediction)})
            for place, row, prediction in zip(places, rows, predictions, strict=True)
        ]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
        return []
    return read if version.isalnum() else []


def _read_prediction(prediction: dict[str, Any] | None) -> dict[str, Any]:
    if prediction is None:
        return {}
    if "label" not in prediction:
        return {_PREDICTION: prediction["value"]}
    shares = {f"{_PROBABILITY}{label}": share for label, share in prediction["probabilities"].items()}
    return {_PREDICTION: prediction["label"], **shares}


def _make_frame(rows: Sequence[_Row]) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row.values)
    return pl.DataFrame([_make_series(name, [row.values.get(name) for row in rows]) for name in names])


def _make_series(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    if kinds == {bool}:
        return pl.Series(name, values, pl.Boolean)
    if kinds == {datetime}:
        return pl.Series(name, values, pl.Datetime("us", "UTC"))
    return pl.Series(name, [None if value is None else str(value) for value in values], pl.String)


def _read_packed(path: Path, manifest: Manifest) -> pl.DataFrame:
    return _select(pl.read_parquet(path), manifest)


def _select(frame: pl.DataFrame, manifest: Manifest) -> pl.DataFrame:
    wanted: dict[str, Any] = {_ID: pl.String, _AT: pl.Datetime("us", "UTC")}
    wanted |= {name: _type_of(column) for name, column in manifest.table.features.items()}
    wanted |= {f"{_PROBABILITY}{label}": pl.Float64 for label in manifest.labels}
    wanted[_PREDICTION] = pl.String if manifest.labels else pl.Float64
    present = set(frame.columns)
    return frame.select(
        (pl.col(name) if name in present else pl.lit(None)).cast(dtype, strict=False).alias(name)
        for name, dtype in wanted.items()
    )


def _type_of(column: Column) -> Any:
    if column.type == "category":
        return pl.Enum(column.categories)
    return pl.Boolean if column.type == "boolean" else pl.Float64


def _read_scores(frame: pl.DataFrame, manifest: Manifest) -> Scores | None:
    if frame.height == 0 or frame[_PREDICTION].null_count():
        return None
    if manifest.labels:
        return frame.select(f"{_PROBABILITY}{label}" for label in manifest.labels).to_numpy()
    return frame[_PREDICTION].to_numpy()
