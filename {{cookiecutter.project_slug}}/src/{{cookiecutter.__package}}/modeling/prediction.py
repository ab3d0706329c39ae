"""The `predict` stage: a file in, the same rows with predictions out, in batches."""

import logging
import tempfile
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..config import Project, SourceSettings
from ..data.loading import ROW_NUMBER, explain_polars_errors, require_columns, scan_table
from ..data.validation import CheckedRows, check_rows
from ..errors import ProjectError
from ..features import columns_from_frame
from ..terminal import track
from .model import Model, choose_places, load_model
from .registry import Registry

_BATCH_ROWS = 50_000
_PLACE = "_place"
_BROKEN = "_broken"

_logger = logging.getLogger(__name__)


class BatchSummary(NamedTuple):
    """What a batch came to: the version that scored, rows scored, rows that broke the schema."""

    version: str
    scored: int
    refused: int


def load_latest(project: Project) -> Model:
    """The model in `models/latest`. Raises ProjectError where none was promoted, or it cannot be loaded."""
    registry = Registry(project.models)
    version = registry.latest()
    if version is None:
        raise ProjectError(f"No model was promoted in {project.models} yet; run the `pipeline` command first.")
    return load_model(registry.folder(version), threads=0)


def predict_file(project: Project, source: Path, output: Path) -> BatchSummary:
    """Score the rows of a CSV, TSV or Parquet file and write them, in order, to a CSV or Parquet file.

    The output has the input's columns, then `prediction` and, for a classification, one `probability <label>` a label.
    A row that breaks the schema gets no prediction; `error` says why. An input column of one of these names gives way,
    so that predictions can be scored again. Raises ProjectError where there is no model, or a file cannot be used.
    """
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise ProjectError(f"--output {output} must end in .csv or .parquet.")
    model, form = load_latest(project), project.pipeline.source
    scored = refused = 0
    with explain_polars_errors(source):
        checked, kept = _check(model, scan_table(source, form), source, form)
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as temporary:
            batches = checked.frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming")
            for number, batch in enumerate(track(batches, "Predicting")):
                result = _score_batch(model, checked, batch, kept)
                bad = result["error"].count()
                scored, refused = scored + result.height - bad, refused + bad
                result.write_parquet(Path(temporary, f"{number:08}.parquet"), compression="lz4")
            whole, frame = Path(temporary, "whole"), pl.scan_parquet(sorted(Path(temporary).iterdir()))
            if output.suffix.lower() == ".csv":
                frame.sink_csv(whole, check_extension=False)
            else:
                frame.sink_parquet(whole)
            whole.replace(output)
    version = str(model.manifest.version)
    _logger.debug("%s scored %s rows of %s into %s", version, scored, source, output)
    if refused:
        _logger.warning("%s rows break the schema; see the column 'error' in %s", refused, output)
    return BatchSummary(version, scored, refused)


def score_frame(model: Model, raw: pl.LazyFrame) -> pl.DataFrame:
    """What `predict_file` writes, of strings in memory as `scan_table` gives them. Raises ProjectError as that does."""
    checked, kept = _check(model, raw, Path("The frame"), SourceSettings())
    return _score_batch(model, checked, checked.frame.collect(), kept)


def _check(model: Model, raw: pl.LazyFrame, source: Path, form: SourceSettings) -> tuple[CheckedRows, list[str]]:
    """The rows as the schema sees them, and the names of the columns that go into the output."""
    features, found = model.manifest.table.features, raw.collect_schema().names()
    require_columns(source, found, list(features))
    checked = check_rows(raw, features, form)
    return checked, [name for name in found if name != ROW_NUMBER]


def _score_batch(model: Model, checked: CheckedRows, batch: pl.DataFrame, kept: list[str]) -> pl.DataFrame:
    frame = batch.with_columns(checked.describe_broken().alias(_BROKEN)).with_row_index(_PLACE)
    good, labels = frame.filter(checked.is_valid), model.manifest.labels
    scores = model.predict(columns_from_frame(model.manifest.table, good.select(checked.typed())))
    if labels:
        names = pl.Series("prediction", labels, pl.String).gather(choose_places(scores, model.manifest.weights))
        predictions = [names, *pl.DataFrame(scores, [f"probability {label}" for label in labels]).cast(pl.Float64)]
    else:
        predictions = [pl.Series("prediction", scores, pl.Float64)]
    scored = pl.DataFrame([good[_PLACE], *predictions])
    inputs = frame.select(_PLACE, *(name for name in kept if name not in (*scored.columns, "error")))
    joined = inputs.join(scored, on=_PLACE, how="left", maintain_order="left").drop(_PLACE)
    return joined.with_columns(frame.select(pl.col(_BROKEN).replace("", None).alias("error")))
