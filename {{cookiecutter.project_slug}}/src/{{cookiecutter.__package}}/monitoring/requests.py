"""The rows to judge, from the request log: `<worker>.jsonl`, and what was rotated away from it, `<worker>.jsonl.1`.

A line is a request: its `id`, `at` (seconds since 1970, UTC), `version`, `rows` (features by name), `predictions`, as
answered, or null, and `places`: which rows of the request these are, from 0, or null for all. A row is `<id>-<place>`.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..config import Project
from ..errors import ProjectError
from ..features import RowReader
from ..modeling.manifest import Manifest
from ..modeling.model import Scores
from .window import Window, find_truth, join_labels

ROW_ID = "row_id"

_PATTERNS = ("*.jsonl", "*.jsonl.*", "*.open")  # .open is what a worker of a former release left

_Row = tuple[float, str, dict[str, Any], dict[str, Any] | None]
"""When it was answered, its name, features and prediction."""


def read_request_window(
    project: Project, manifest: Manifest, since: datetime, labels: Path | None, maximum_rows: int
) -> Window:
    """The logged rows that the version answered since then, the latest `maximum_rows` of them.

    The truth comes from the file `labels`, by its column `row_id`.

    Raises:
        ProjectError: nothing was logged, the rows are not of the version's table, or `labels` cannot be used.
    """
    table, folder = manifest.table, project.requests
    found, damaged = _collect(folder, str(manifest.version), since)
    rows = sorted(found, key=lambda row: row[:2])[-maximum_rows:]
    try:
        columns = RowReader(table).read([values for _, _, values, _ in rows])
        scores = _read_scores([prediction for *_, prediction in rows], manifest.labels)
    except (ValueError, TypeError, KeyError) as error:
        raise ProjectError(
            f"{folder} has rows of another table, of a former {manifest.version}; remove its files."
        ) from error
    frame = pl.DataFrame({ROW_ID: [name for _, name, _, _ in rows]}, schema={ROW_ID: pl.String})
    if labels is not None:
        frame = join_labels(project, frame, table, labels, [ROW_ID])
    return Window(
        source=f"requests since {since.isoformat(timespec='minutes')}",
        rows=len(rows),
        valid_rows=len(rows),
        # What is marked as sensitive by now is not logged.
        columns={name: values for name, values in columns.items() if name not in project.schema.sensitive},
        scores=scores,
        truth=find_truth(table, frame),
        note=f"{damaged} damaged line(s) or file(s) of the request log were left out" if damaged else "",
    )


def _collect(folder: Path, version: str, since: datetime) -> tuple[list[_Row], int]:
    """The version's rows since then, and how many damaged lines or files were left out."""
    versions: set[str] = set()
    found: dict[str, _Row] = {}
    damaged = 0
    for line in _read_lines(folder):
        try:
            content = json.loads(line)
            versions.add(str(content["version"]))
            if content["version"] == version and content["at"] >= since.timestamp():
                found |= {row[1]: row for row in _split(content)}  # a file that is rotated meanwhile is read twice
        except (ValueError, TypeError, KeyError, AttributeError):
            damaged += 1
    if version not in versions:
        others = f"; there are some of {', '.join(sorted(versions))}" if versions else ""
        raise ProjectError(
            f"No requests that {version} answered are in {folder}{others}. "
            "Let it answer some with the request log on, or give rows by --table FILE."
        )
    return list(found.values()), damaged


def _read_lines(folder: Path) -> Iterator[bytes]:
    for path in sorted(path for pattern in _PATTERNS for path in folder.glob(pattern)):
        try:
            yield from path.read_bytes().splitlines()
        except OSError:
            yield b""  # counted as damaged


def _split(content: dict[str, Any]) -> Iterator[_Row]:
    rows = content["rows"]
    places = content["places"] or range(len(rows))
    predictions = content["predictions"] or [None] * len(rows)
    for place, row, prediction in zip(places, rows, predictions, strict=True):
        yield float(content["at"]), f"{content['id']}-{place}", dict(row), prediction


def _read_scores(predictions: list[dict[str, Any] | None], labels: tuple[str, ...]) -> Scores | None:
    kept = [prediction for prediction in predictions if prediction is not None]
    if not kept or len(kept) < len(predictions):
        return None
    values = [[each["probabilities"][label] for label in labels] if labels else each["value"] for each in kept]
    return np.array(values, dtype=np.float64)
