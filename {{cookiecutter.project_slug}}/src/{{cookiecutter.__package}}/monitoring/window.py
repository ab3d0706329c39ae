"""The rows to judge, from a table; and what was right, where it is known."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..config import Project
from ..data.loading import ROW_NUMBER, explain_polars_errors, require_columns, scan_table
from ..data.splitting import fraction, scramble
from ..data.validation import CheckedRows, RuleKind, check_rows
from ..errors import ProjectError
from ..features import Columns, columns_from_frame
from ..modeling.model import Model, Scores
from ..schema import Schema

_SAMPLE_SEED = 0
_BROKEN: dict[RuleKind, str] = {
    "type": "unreadable",
    "missing": "missing",
    "minimum": "out of range",
    "maximum": "out of range",
    "category": "unseen category",
}


@dataclass(frozen=True)
class Window:
    """Rows to compare with the training rows.

    `columns`, `scores` and `truth` hold the `valid_rows`; `broken` counts the others by column and by what is wrong,
    None where such rows cannot come, since the API refuses them. `scores` is None if predictions are not kept. `truth`
    is NaN where unknown; for a classification, places in the schema's labels.
    """

    source: str
    rows: int
    valid_rows: int
    columns: Columns
    scores: Scores | None
    truth: NDArray[np.float64]
    broken: dict[str, Counter[str]] | None = None
    note: str = ""

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

    Raises:
        ProjectError: a file cannot be used.
    """
    schema = model.manifest.table
    keys = [] if labels is None else schema.identifiers
    if labels is not None and not keys:
        raise ProjectError(
            "config/schema.yaml has no column with role identifier, by which --labels could be joined; "
            f"put the column {schema.target!r} into {path} instead."
        )
    raw = scan_table(path, project.pipeline.source)
    with explain_polars_errors(path):
        found = raw.collect_schema().names()
        total = int(raw.select(pl.len()).collect(engine="streaming").item())
    require_columns(path, found, [*schema.features, *keys])
    if total > maximum_rows:
        raw = raw.filter(fraction(scramble(pl.col(ROW_NUMBER).cast(pl.UInt64), _SAMPLE_SEED)) < maximum_rows / total)
    target = {schema.target: schema.columns[schema.target]} if labels is None and schema.target in found else {}
    checked = check_rows(raw, {**schema.features, **target}, project.pipeline.source)
    with explain_polars_errors(path):
        frame, rows, broken = _collect(checked, schema, keys)
    columns = columns_from_frame(schema, frame)
    if labels is not None:
        frame = join_labels(project, frame, schema, labels, keys)
    return Window(
        source=str(path),
        rows=rows,
        valid_rows=frame.height,
        columns=columns,
        scores=model.predict(columns) if frame.height else None,
        truth=find_truth(schema, frame),
        broken=broken,
        note=f"a sample of the {total} rows, see maximum_rows in config/monitoring.yaml"
        if total > maximum_rows
        else "",
    )


def _collect(
    checked: CheckedRows, schema: Schema, keys: list[str]
) -> tuple[pl.DataFrame, int, dict[str, Counter[str]]]:
    """The rows whose features keep to the schema, how many there were in all, and what is wrong with the others."""
    rules = {rule: broken.fill_null(False) for rule, broken in checked.broken.items() if rule.column in schema.features}
    frame, counts = pl.collect_all(
        [
            checked.frame.filter(~pl.any_horizontal(rules.values())).select(*checked.typed(), *keys),
            checked.frame.select(pl.len(), *(broken.sum().alias(rule.name) for rule, broken in rules.items())),
        ],
        engine="streaming",
    )
    found: dict[str, Counter[str]] = {}
    for rule in rules:
        if count := int(counts[rule.name].item()):
            found.setdefault(rule.column, Counter())[_BROKEN[rule.kind]] += count
    return frame, int(counts["len"].item()), found


def join_labels(project: Project, frame: pl.DataFrame, schema: Schema, path: Path, keys: list[str]) -> pl.DataFrame:
    """The frame with the target that the file `path` has for each row, null where it has none.

    Rows are the same where the `keys`, columns of both, are the same strings.

    Raises:
        ProjectError: the file cannot be used, or names a row twice.
    """
    raw = scan_table(path, project.pipeline.source)
    with explain_polars_errors(path):
        require_columns(path, raw.collect_schema().names(), [*keys, schema.target])
        checked = check_rows(raw, {schema.target: schema.columns[schema.target]}, project.pipeline.source)
        known = checked.frame.select(*keys, *checked.typed()).drop_nulls().collect(engine="streaming")
    repeated = known.filter(pl.struct(*keys).is_duplicated())
    if repeated.height:
        row = ", ".join(str(value) for value in repeated.select(*keys).row(0))
        raise ProjectError(f"{path} names the row {row} more than once; keep one label for each row.")
    return frame.join(known, on=keys, how="left", maintain_order="left")


def find_truth(schema: Schema, frame: pl.DataFrame) -> NDArray[np.float64]:
    """The targets of a frame, NaN where unknown."""
    if schema.target not in frame.columns:
        return np.full(frame.height, np.nan)
    target = frame[schema.target]
    return (target.to_physical() if schema.labels else target).cast(pl.Float64).fill_null(np.nan).to_numpy()
