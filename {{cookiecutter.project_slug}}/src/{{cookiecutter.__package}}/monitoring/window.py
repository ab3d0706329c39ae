"""The rows to judge: from the request log or from a table."""

from dataclasses import dataclass, field
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
from ..modeling.manifest import Manifest
from ..modeling.model import Model, Scores
from ..schema import Schema

_SAMPLE_SEED = 0


@dataclass(frozen=True)
class Truth:
    """What was right, where it is known: `rows` are places in the window, `values` the target there.

    For a classification the values are places in the schema's labels.
    """

    rows: NDArray[np.int64]
    values: NDArray[Any]


@dataclass(frozen=True)
class Window:
    """Rows to compare with the training rows.

    `columns` and `scores` hold the rows that keep to the schema, `broken` counts the others by column
    and rule; it is None where such rows cannot come, since the API refuses them. `scores` is None if
    predictions are not kept.
    """

    source: str
    rows: int
    columns: Columns
    scores: Scores | None
    broken: dict[str, dict[RuleKind, int]] | None = None
    truth: Truth | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def valid_rows(self) -> int:
        """How many rows keep to the schema."""
        return len(next(iter(self.columns.values())))


def read_table_window(project: Project, predictor: Model, path: Path, labels: Path | None, maximum_rows: int) -> Window:
    """The rows of a CSV, TSV or Parquet file, an even sample of them where it has more than `maximum_rows`.

    The truth comes from the file's own target column, or from the file `labels`, by the columns whose
    role is identifier.

    Raises:
        ProjectError: a file cannot be used.
    """
    schema = predictor.manifest.table
    raw = scan_table(path, project.pipeline.source)
    with explain_polars_errors(path):
        found = raw.collect_schema().names()
        total = int(raw.select(pl.len()).collect(engine="streaming").item())
    keys = schema.identifiers if labels is not None else []
    if labels is not None and not keys:
        raise ProjectError(
            "config/schema.yaml has no column with role identifier, by which --labels could be joined; "
            f"put the column {schema.target!r} into {path} instead."
        )
    require_columns(path, found, [*schema.features, *keys])
    notes = []
    if total > maximum_rows:
        place = fraction(scramble(pl.col(ROW_NUMBER).cast(pl.UInt64), _SAMPLE_SEED))
        raw = raw.filter(place < maximum_rows / total)
        notes.append(f"a sample of the {total} rows, see maximum_rows in config/monitoring.yaml")
    has_target = labels is None and schema.target in found
    wanted = {**schema.features, **({schema.target: schema.columns[schema.target]} if has_target else {})}
    form = project.pipeline.source
    checked = check_rows(raw, wanted, decimal_comma=form.decimal_comma, thousands=form.thousands)
    with explain_polars_errors(path):
        frame, counts = _collect(checked, schema, keys)
    columns = columns_from_frame(schema, frame)
    if labels is not None:
        frame = join_labels(frame, project, schema, labels, {name: name for name in keys})
    return Window(
        source=str(path),
        rows=int(counts["len"].item()),
        columns=columns,
        scores=predictor.predict(columns) if frame.height else None,
        broken=_count_broken(checked, counts),
        truth=find_truth(predictor.manifest, frame) if has_target or labels is not None else None,
        notes=notes,
    )


def join_labels(
    frame: pl.DataFrame, project: Project, schema: Schema, path: Path, keys: dict[str, str]
) -> pl.DataFrame:
    """The frame with the target of the file `path`, null where the file lacks the row.

    Args:
        frame: rows with the key columns, as strings.
        project: says how files are written.
        schema: the model's table.
        path: a CSV, TSV or Parquet file.
        keys: the frame's key columns, and what the file calls each.

    Raises:
        ProjectError: the file cannot be used, or names a row twice.
    """
    raw = scan_table(path, project.pipeline.source)
    with explain_polars_errors(path):
        require_columns(path, raw.collect_schema().names(), [*keys.values(), schema.target])
        target = {schema.target: schema.columns[schema.target]}
        form = project.pipeline.source
        checked = check_rows(raw, target, decimal_comma=form.decimal_comma, thousands=form.thousands)
        names = [pl.col(theirs).alias(ours) for ours, theirs in keys.items()]
        known = checked.frame.select(*names, *checked.typed()).drop_nulls().collect(engine="streaming")
    repeated = known.filter(pl.struct(*keys).is_duplicated())
    if repeated.height:
        row = ", ".join(str(value) for value in repeated.select(*keys).row(0))
        raise ProjectError(f"{path} names the row {row} more than once; keep one label for each row.")
    return frame.join(known, on=list(keys), how="left", maintain_order="left")


def find_truth(manifest: Manifest, frame: pl.DataFrame) -> Truth:
    """The known targets of a frame whose target column is typed, null where unknown."""
    target = frame[manifest.table.target]
    rows = target.is_not_null().arg_true().to_numpy().astype(np.int64)
    known = target.drop_nulls()
    if manifest.labels:
        return Truth(rows, known.to_physical().cast(pl.Int64).to_numpy())
    return Truth(rows, known.cast(pl.Float64).to_numpy())


def _collect(checked: CheckedRows, schema: Schema, keys: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows whose features keep to the schema, and how many rows break each rule of theirs."""
    broken = {rule: expression for rule, expression in checked.broken.items() if rule.column in schema.features}
    is_broken = pl.any_horizontal(expression.fill_null(False) for expression in broken.values())
    frame, counts = pl.collect_all(
        [
            checked.frame.filter(~is_broken).select(*checked.typed(), *keys),
            checked.frame.select(pl.len(), *(each.sum().alias(rule.name) for rule, each in broken.items())),
        ],
        engine="streaming",
    )
    return frame, counts


def _count_broken(checked: CheckedRows, counts: pl.DataFrame) -> dict[str, dict[RuleKind, int]]:
    found: dict[str, dict[RuleKind, int]] = {}
    for rule in checked.broken:
        if rule.name in counts.columns and counts[rule.name].item():
            found.setdefault(rule.column, {})[rule.kind] = int(counts[rule.name].item())
    return found
