"""The rows to judge, from a table or from the request log; and what was right, where it is known.

A line of the log is a request: its `id`, `at` (seconds since 1970, UTC), `version`, `rows` (features by name) and
`predictions`, as answered, or null. A former release kept some of the rows, with their `places` in the request.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..config import Project
from ..data.loading import ROW_NUMBER, explain_polars_errors, scan_table
from ..data.splitting import is_sampled
from ..data.validation import CheckedRows, check_rows
from ..errors import ProjectError
from ..features import Columns, RowReader, columns_from_frame
from ..modeling.manifest import Manifest
from ..modeling.model import Model, Scores
from ..schema import Column, Schema

_Row = tuple[float, str, dict[str, Any], Any]  # when it was answered, its name, features and prediction

_BROKEN = {"type": "unreadable", "missing": "missing", "category": "unseen category"}  # others are limits


@dataclass(frozen=True)
class Window:
    """Rows to compare with the training rows; those that break the schema are counted alone."""

    source: str
    rows: int
    columns: Columns
    scores: Scores | None  # None if predictions are not kept
    truth: NDArray[np.float64]  # places in the schema's labels, or values; NaN where unknown
    broken: dict[str, Counter[str]] | None = None  # by column, what is wrong; None if the API refused such rows
    notes: Sequence[str] = ()

    @property
    def labelled(self) -> tuple[Scores, NDArray[Any]] | None:
        """Scores and truth of the rows that have both; None if there are none."""
        known = ~np.isnan(self.truth)
        if self.scores is None or not known.any():
            return None
        return self.scores[known], self.truth[known].astype(np.int64 if self.scores.ndim > 1 else np.float64)


def read_table_window(project: Project, model: Model, path: Path, labels: Path | None, maximum_rows: int) -> Window:
    """The rows of a CSV, TSV or Parquet file, an even sample of them where it has more than `maximum_rows`.

    The truth comes from its target column, or from the file `labels`, by the columns whose role is identifier.
    Raises ProjectError where a file cannot be used.
    """
    schema = model.manifest.table
    keys = [ROW_NUMBER] if labels is None else schema.identifiers
    if not keys:
        raise ProjectError(
            "config/schema.yaml has no column with role identifier, by which --labels could be joined; "
            f"put the column {schema.target!r} into {path} instead."
        )
    checked = _check_file(project, path, schema.features, keys)
    rules = {rule.name: broken.fill_null(False) for rule, broken in checked.broken.items()}
    with explain_polars_errors(path):
        has_target = schema.target in checked.frame.collect_schema()
        total = int(checked.frame.select(pl.len()).collect(engine="streaming").item())
        kept = checked.frame.filter(is_sampled(maximum_rows / max(total, 1)))
        frame = kept.select(*keys, *checked.typed(), checked.is_valid, **rules).collect(engine="streaming")
    broken = {name: Counter[str]() for name in schema.features}
    for rule in checked.broken:
        if rows := int(frame[rule.name].sum()):
            broken[rule.column][_BROKEN.get(rule.kind, "out of range")] += rows
    valid = frame.filter(checked.is_valid)
    columns = columns_from_frame(schema, valid)
    scores = model.predict(columns) if valid.height else None
    truth = _find_truth(project, schema, valid[keys], labels or (path if has_target else None))
    note = [f"a sample of the {total} rows, see maximum_rows in config/monitoring.yaml"] if total > maximum_rows else []
    return Window(str(path), frame.height, columns, scores, truth, broken, note)


def read_request_window(
    project: Project, manifest: Manifest, since: datetime, labels: Path | None, maximum_rows: int
) -> Window:
    """The logged rows that the version answered since then, the latest `maximum_rows` of them.

    The truth comes from the file `labels`, by its column `row_id`, which is `<id>-<place>`. Raises ProjectError where
    nothing was logged, the rows are not of the version's table, or `labels` cannot be used.
    """
    table, version, folder = manifest.table, str(manifest.version), project.requests
    found, damaged = _read_log(folder, version, since)
    found = sorted(found, key=lambda row: row[:2])[-maximum_rows:]
    answers, scores = [answer for *_, answer in found], None
    try:
        columns = RowReader(table).read([values for *_, values, _ in found])
        if answers and None not in answers:
            kept = [[each["probabilities"][name] for name in manifest.labels] or each["value"] for each in answers]
            scores = np.array(kept, dtype=np.float64)
    except (ValueError, TypeError, KeyError) as error:
        raise ProjectError(f"{folder} has rows of another table, of a former {version}; remove its files.") from error
    # What is marked as sensitive by now is not logged.
    columns = {name: values for name, values in columns.items() if name not in project.schema.sensitive}
    names = pl.DataFrame({"row_id": [name for _, name, *_ in found]}, {"row_id": pl.String})
    source = f"requests since {since.isoformat(timespec='minutes')}"
    note = [f"{damaged} damaged line(s) or file(s) of the request log were left out"] if damaged else []
    return Window(source, len(found), columns, scores, _find_truth(project, table, names, labels), None, note)


def _read_log(folder: Path, version: str, since: datetime) -> tuple[list[_Row], int]:
    """The version's rows since then, and how many damaged lines or files were left out."""
    lines, damaged = list[bytes](), 0
    versions, found = set[str](), list[_Row]()
    for path in sorted([*folder.glob("*.jsonl*"), *folder.glob("*.open")]):  # .open is of a former release
        try:
            lines += path.read_bytes().splitlines()
        except OSError:
            damaged += 1
    for text in lines:
        try:
            line = json.loads(text)
            versions.add(str(line["version"]))
            if line["version"] == version and line["at"] >= since.timestamp():
                rows = line["rows"]
                places, answers = line.get("places") or range(len(rows)), line["predictions"] or [None] * len(rows)
                for place, row, answer in zip(places, rows, answers, strict=True):
                    found.append((line["at"], f"{line['id']}-{place}", dict(row), answer))
        except (ValueError, TypeError, KeyError):
            damaged += 1
    if version not in versions:
        others = f"; there are some of {', '.join(sorted(versions))}" if versions else ""
        raise ProjectError(
            f"No requests that {version} answered are in {folder}{others}. "
            "Let it answer some with the request log on, or give rows by --table FILE."
        )
    return found, damaged


def _find_truth(project: Project, schema: Schema, rows: pl.DataFrame, path: Path | None) -> NDArray[np.float64]:
    """The target that a file has for each row, NaN where unknown; rows are the same where all columns are."""
    if path is None:
        return np.full(rows.height, np.nan)
    keys = rows.columns
    checked = _check_file(project, path, {schema.target: schema.columns[schema.target]}, keys)
    with explain_polars_errors(path):
        labels = checked.frame.select(*keys, *checked.typed()).drop_nulls()
        known = labels.join(rows.lazy(), on=keys, how="semi").collect(engine="streaming")
    repeated = known.filter(pl.struct(keys).is_duplicated())
    if repeated.height:
        row = ", ".join(str(value) for value in repeated.select(keys).row(0))
        raise ProjectError(f"{path} names the row {row} more than once; keep one label for each row.")
    found = rows.join(known, on=keys, how="left", maintain_order="left")[schema.target]
    return (found.to_physical() if schema.labels else found).cast(pl.Float64).fill_null(np.nan).to_numpy()


def _check_file(project: Project, path: Path, columns: Mapping[str, Column], keys: list[str]) -> CheckedRows:
    return check_rows(scan_table(path, project.pipeline.source, [*columns, *keys]), columns, project.pipeline.source)
