"""The `explore` stage: what the raw table holds, as a table and pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ..config import Project
from ..plots import plot_correlation, plot_counts, plot_histogram, plot_missing, save_figure
from ..schema import Schema
from ..utils.files import write_bytes
from ..utils.logger import get_logger
from ..utils.progress import track
from .cleaning import check_rows
from .loading import explain_polars_errors, find_raw_files, require_columns, scan_table

_SAMPLE_ROWS = 200_000

_logger = get_logger(__name__)


@dataclass(frozen=True)
class Profile:
    """A table of statistics, one row a column, and the pictures that were written."""

    statistics: pl.DataFrame
    figures: list[Path]


def explore_data(project: Project) -> Profile:
    """Describe the raw rows, before any is rejected, in `reports/tables` and `reports/figures/data`.

    At most the first 200,000 rows are read.

    Raises:
        ProjectError: a raw file cannot be used.
    """
    schema = project.schema
    frame = _read_sample(project)
    statistics = _describe_columns(schema, frame)
    write_bytes(project.reports / "tables" / "data_profile.csv", statistics.write_csv().encode())
    folder = project.reports / "figures" / "data"
    figures: list[Path] = []
    for name in track(frame.columns, "Drawing columns"):
        figures.append(folder / f"column_{len(figures):03}.png")
        values = frame[name].drop_nulls()
        if values.dtype.is_numeric():
            save_figure(plot_histogram(values.to_numpy(), name), figures[-1])
        else:
            counts = values.cast(pl.String).value_counts(sort=True).head(30)
            save_figure(plot_counts(counts[name].to_list(), counts["count"].to_list(), name), figures[-1])
    missing = plot_missing(statistics["column"].to_list(), statistics["missing_share"].to_list())
    save_figure(missing, folder / "missing.png")
    figures.append(folder / "missing.png")
    numeric = frame.select(pl.selectors.numeric()).drop_nulls()
    if numeric.width > 1 and numeric.height > 1:
        with np.errstate(all="ignore"):
            correlation = np.corrcoef(numeric.to_numpy().astype(float), rowvar=False)
        save_figure(plot_correlation(correlation, numeric.columns), folder / "correlation.png")
        figures.append(folder / "correlation.png")
    _logger.info("Described %s rows, %s columns in %s", frame.height, frame.width, project.reports)
    return Profile(statistics, figures)


def _read_sample(project: Project) -> pl.DataFrame:
    schema = project.schema
    columns = {name: column for name, column in schema.columns.items() if column.role == "feature"}
    frames: list[pl.DataFrame] = []
    for path in find_raw_files(project):
        wanted = _SAMPLE_ROWS - sum(frame.height for frame in frames)
        if wanted <= 0:
            break
        raw = scan_table(path, project.pipeline.source)
        with explain_polars_errors(path):
            require_columns(path, raw.collect_schema().names(), list(columns))
            source = project.pipeline.source
            checked = check_rows(
                raw.head(wanted), columns, decimal_comma=source.decimal_comma, thousands=source.thousands
            )
            frames.append(checked.frame.select(checked.typed()).collect(engine="streaming"))
    return pl.concat(frames)


def _describe_columns(schema: Schema, frame: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for name in frame.columns:
        series = frame[name]
        is_numeric = series.dtype.is_numeric()
        rows.append(
            {
                "column": name,
                "type": schema.columns[name].type,
                "rows": series.len(),
                "missing_share": series.null_count() / max(series.len(), 1),
                "distinct": series.drop_nulls().n_unique(),
                "mean": series.mean() if is_numeric else None,
                "standard_deviation": series.std() if is_numeric else None,
                "minimum": series.min() if is_numeric else None,
                "median": series.median() if is_numeric else None,
                "maximum": series.max() if is_numeric else None,
            }
        )
    numbers = dict.fromkeys(["mean", "standard_deviation", "minimum", "median", "maximum"], pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers)
