"""The rows to judge, from a table or from the request log.

A line of the log is a request: its `id`, `at` (seconds since 1970, UTC), `version`, `rows` (features by name) and
`predictions`, as answered, or null.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Project
from ..data.loading import explain_polars_errors, scan_table
from ..data.validation import check_rows
from ..errors import ProjectError
from ..features import Columns, RowReader, columns_from_frame
from ..modeling.manifest import Manifest
from ..modeling.model import Model, Scores


@dataclass(frozen=True)
class Window:
    """Rows to compare with the training rows; those that break the schema are counted, and in no column."""

    source: str
    rows: int
    columns: Columns
    scores: Scores | None  # None if predictions are not kept
    truth: NDArray[np.float64] | None = None  # places in the schema's labels, or values; NaN where unknown
    broken: int | None = None  # rows; None if the API refused such ones
    notes: Sequence[str] = ()


def read_table_window(project: Project, model: Model, path: Path) -> Window:
    """The rows of a CSV, TSV or Parquet file, with the truth where it has the target's column.

    Raises ProjectError where the file cannot be used.
    """
    schema, source = model.manifest.table, project.pipeline.source
    raw, columns = scan_table(path, source, list(schema.features)), dict(schema.features)
    with explain_polars_errors(path):
        if schema.target in raw.collect_schema():
            columns[schema.target] = schema.columns[schema.target].model_copy(update={"nullable": True})
        checked = check_rows(raw, columns, source)
        rules = {rule: broken.fill_null(False) for rule, broken in checked.broken.items()}
        frame = checked.frame.select(*checked.typed(), checked.is_valid, **rules).collect(engine="streaming")
    valid = frame.filter(checked.is_valid)
    features = columns_from_frame(schema, valid)
    scores = model.predict(features) if valid.height else None
    truth = None
    if schema.target in columns:
        truth = valid[schema.target].to_physical().cast(float).fill_null(np.nan).to_numpy()
    notes = [f"{rows} rows break the rule {rule}" for rule in rules if (rows := frame[rule].sum())]
    return Window(str(path), frame.height, features, scores, truth, frame.height - valid.height, notes)


def read_request_window(project: Project, manifest: Manifest, since: datetime) -> Window:
    """The logged rows that the version answered since then.

    Raises ProjectError where nothing was logged, or the rows are not of the version's table.
    """
    version, folder = str(manifest.version), project.requests
    found, damaged = _read_log(folder, version, since)
    answers, scores = [answer for _, answer in found], None
    try:
        columns = RowReader(manifest.table).read([row for row, _ in found])
        if None not in answers:
            kept = [[each["probabilities"][name] for name in manifest.labels] or each["value"] for each in answers]
            scores = np.array(kept, dtype=np.float64)
    except (ValueError, TypeError, KeyError) as error:
        raise ProjectError(f"{folder} has rows of another table, of a former {version}; remove its files.") from error
    # What is marked as sensitive by now is not logged.
    columns = {name: values for name, values in columns.items() if name not in project.schema.sensitive}
    notes = [f"{damaged} damaged line(s) or file(s) of the request log were left out"] if damaged else []
    return Window(f"requests since {since.isoformat(timespec='minutes')}", len(found), columns, scores, notes=notes)


def _read_log(folder: Path, version: str, since: datetime) -> tuple[list[tuple[dict[str, Any], Any]], int]:
    """The version's rows since then, each with its answer, and how many damaged lines or files were left out."""
    lines, damaged, found = list[bytes](), 0, list[tuple[dict[str, Any], Any]]()
    for path in sorted(folder.glob("*.jsonl*")):
        try:
            lines += path.read_bytes().splitlines()
        except OSError:
            damaged += 1
    for text in lines:
        try:
            line = json.loads(text)
            if line["version"] == version and line["at"] >= since.timestamp():
                answers = line["predictions"] or [None] * len(line["rows"])
                found += list(zip(map(dict, line["rows"]), answers, strict=True))
        except (ValueError, TypeError, KeyError):
            damaged += 1
    if not found:
        raise ProjectError(
            f"No requests that {version} answered since {since:%Y-%m-%d %H:%M} are in {folder}. "
            "Let it answer some with the request log on, or give rows by --table FILE."
        )
    return found, damaged
