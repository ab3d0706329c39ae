"""The `explore` stage: what the raw table holds and what is suspicious about it, as a table and a page."""

import logging
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib.style
import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from ..config import Project
from ..files import write_bytes
from ..schema import Schema
from ..terminal import track
from .loading import ROW_NUMBER, explain_polars_errors, find_raw_files, scan_table
from .splitting import is_sampled
from .validation import check_rows

# Longer texts are cut, so that a column of documents fits in memory.
_MOST_ROWS, _MOST_CELLS, _LONGEST_TEXT = 200_000, 20_000_000, 200
# A picture takes a tenth of a second, and pairs of columns take longer the more there are.
_MOST_SHOWN = 100
_GROUPS, _VALUES, _LABELS = 8, 10, 7
_PARTS, _QUARTERS = 32, 4
_LEAK = 0.8

_logger = logging.getLogger(__name__)


class Exploration(NamedTuple):
    """What was found in the raw rows, and the page that shows it; none of it tells a value of a sensitive column."""

    statistics: pl.DataFrame
    findings: list[str]
    report: Any
    page: Path


def explore_data(project: Project) -> Exploration:
    """Describe the raw rows in `reports/`; raises ProjectError where a raw file cannot be used."""
    schema = project.schema
    frame, rows = read_sample(project)
    statistics = describe_columns(schema, frame)
    findings = find_suspicious(statistics)
    told = pl.when(~pl.col("column").is_in(list(schema.sensitive))).then(pl.col("distinct", "association"))
    statistics, page = statistics.with_columns(told), project.reports / "data_profile.html"
    write_bytes(project.reports / "tables" / "data_profile.csv", statistics.write_csv().encode())
    report, text = _draw_page(schema, frame, rows, statistics, findings)
    write_bytes(page, text.encode())
    for finding in findings:
        _logger.warning("%s", finding)
    _logger.info("Described %s of %s rows, %s columns in %s", frame.height, rows, statistics.height, page)
    return Exploration(statistics, findings, report, page)


def read_sample(project: Project, most_rows: int = _MOST_ROWS) -> tuple[pl.DataFrame, int]:
    """About `most_rows` of the raw rows, fewer of a wide table, and how many there are; null is missing or unreadable.

    A row's place among all rows decides whether it is taken, so that the same files give the same sample.
    Raises ProjectError where a raw file cannot be used.
    """
    columns, source = project.schema.columns, project.pipeline.source
    files = [scan_table(path, source, list(columns)).select(*columns) for path in find_raw_files(project)]
    table = pl.concat(files).with_row_index(ROW_NUMBER)
    with explain_polars_errors(project.raw):
        rows: int = table.select(pl.len()).collect(engine="streaming").item()
        share = min(most_rows, _MOST_CELLS // len(columns)) / max(1, rows)
        # Whether a category that is no feature is listed, nobody asks.
        typed = {name: column for name, column in columns.items() if column.role == "feature" or not column.categories}
        checked = check_rows(table.filter(is_sampled(share)), typed, source)
        sample = checked.frame.select(*checked.typed(), *(name for name in columns if name not in typed))
        cut = sample.select(*columns).with_columns(pl.col(pl.String).str.head(_LONGEST_TEXT))
        return cut.collect(engine="streaming"), rows


def describe_columns(schema: Schema, frame: pl.DataFrame) -> pl.DataFrame:
    """The statistics of each column; `association` is with the target, 0 to 1."""
    columns = schema.columns
    associations = measure_associations(frame.select(list(schema.features)), frame[schema.target])
    return pl.DataFrame(
        {
            "column": list(columns),
            "type": [column.type for column in columns.values()],
            "role": ["target" if name == schema.target else column.role for name, column in columns.items()],
            "missing_share": [frame[name].null_count() / max(1, frame.height) for name in columns],
            "distinct": [frame[name].drop_nulls().n_unique() for name in columns],
            "association": [associations.get(name) for name in columns],
        },
        schema_overrides={"association": pl.Float64},
    )


def measure_associations(columns: pl.DataFrame, target: pl.Series) -> dict[str, float | None]:
    """How much each column alone tells of the target, 0 (nothing) to 1 (everything); None where one is constant.

    Cramér's V with the correction of Bergsma (Journal of the Korean Statistical Society 42, 2013). Numbers are cut
    into parts of about equal size, a target into quarters: what gives it away may follow its order and not its size.
    Values that are missing are a group like any other, and once more against all others.
    """
    known = target.is_not_null()
    rows, target = columns.filter(known), target.filter(known)
    told = target.to_frame().select(_number_groups(target.name, target.dtype, _QUARTERS)).to_series().to_numpy()
    # All columns in one pass: a call for each would dominate where there are thousands.
    groups = rows.select(_number_groups(name, dtype, _PARTS) for name, dtype in rows.schema.items())
    found: dict[str, float | None] = {}
    for group in track(groups, "Measuring associations"):
        places = group.to_numpy()
        strengths = [_measure(places, told), _measure((places == 0).astype(np.uint32), told)]
        found[group.name] = max((strength for strength in strengths if strength is not None), default=None)
    return found


def _measure(group: NDArray[np.uint32], told: NDArray[np.uint32]) -> float | None:
    rows, sizes, labels = len(group), np.bincount(group), np.bincount(told)
    places = int(np.count_nonzero(sizes)), int(np.count_nonzero(labels))
    if min(places) < 2 or rows <= places[0]:
        return None
    cells, counts = np.unique(group * np.int64(len(labels)) + told, return_counts=True)
    expected = sizes[cells // len(labels)] * labels[cells % len(labels)] / rows
    square = float(np.sum(counts**2 / expected)) / rows - 1
    square = max(0.0, square - (places[0] - 1) * (places[1] - 1) / (rows - 1))
    most = min(count - (count - 1) ** 2 / (rows - 1) for count in places) - 1
    return min(1.0, math.sqrt(square / most)) if most > 0 else None


def find_suspicious(statistics: pl.DataFrame) -> list[str]:
    """The warnings on a table, those first that spoil a model most; none tells a value of a sensitive column."""
    remedy = "If it is known only after the target, give it role: ignored in config/schema.yaml."
    where = "It alone tells the target suspiciously well, by its values or by where it is missing"
    leaks = statistics.filter(pl.col("association") >= _LEAK).sort("association", descending=True, maintain_order=True)
    told = leaks.select("column", "association").iter_rows()
    findings = [f"{name}: {where} ({strength:.3f} of 1). {remedy}" for name, strength in told]
    used = statistics.filter(pl.col("role").is_in(["feature", "target"]))
    for name, missing, distinct in used.select("column", "missing_share", "distinct").iter_rows():
        if missing >= 0.9:
            findings.append(f"{name}: {missing:.1%} of its values are missing or cannot be read.")
        elif distinct == 1 and missing == 0:
            findings.append(f"{name}: It has one value in all rows, so that a model learns nothing from it.")
    return findings


def _draw_page(
    schema: Schema, frame: pl.DataFrame, rows: int, statistics: pl.DataFrame, findings: list[str]
) -> tuple[Any, str]:
    # Importing skrub makes a folder in the user's home unless it is told of another.
    os.environ.setdefault("SKB_DATA_DIRECTORY", tempfile.gettempdir())
    from skrub import TableReport

    target = frame[schema.target]
    told = [name for name in frame.columns if name not in schema.sensitive]
    drawn = sorted(told, key=lambda name: name != schema.target)[:_MOST_SHOWN]
    shown = pd.DataFrame({name: _to_pandas(frame[name]) for name in drawn})
    report = TableReport(shown, verbose=0, plot_distributions=True, compute_associations=True, open_tab="distributions")
    labels = sorted(schema.labels, key=lambda label: -int((target == label).sum()))[:_LABELS]
    related = statistics.drop_nulls("association").sort("association", descending=True, maintain_order=True)
    related = related.head(0 if schema.target in schema.sensitive else _MOST_SHOWN)
    groups = [(row, _group_target(frame[row["column"]], target, labels)) for row in related.to_dicts()]
    # One file that asks the network for nothing, in which all that comes from the data is escaped.
    environment = jinja2.Environment(autoescape=True, line_statement_prefix="%", undefined=jinja2.StrictUndefined)
    page = environment.from_string(Path(__file__).with_name("profile.html").read_text(encoding="utf-8"))
    found = {"schema": schema, "rows": rows, "read": frame.height, "findings": findings, "report": report}
    # The style of our own pictures, where it is loaded, is not that of the report's.
    with matplotlib.style.context("default"):
        return report, page.render(found, labels=labels, groups=groups)


def _to_pandas(values: pl.Series) -> Any:
    # What skrub takes for a date, a number or a category; polars' own way to pandas needs pyarrow.
    is_number = values.dtype.is_numeric() or values.dtype.is_temporal()
    return values.to_numpy() if is_number else pd.Categorical(values.cast(pl.String).to_list())


def _group_target(values: pl.Series, target: pl.Series, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The target in rows that are alike: the shares of labels, or its lower quartile, median and upper quartile."""
    is_number = values.dtype.is_numeric() or values.dtype.is_temporal()
    shown = values.dt.date() if values.dtype.is_temporal() else values if is_number else values.cast(pl.String)
    group = values.to_frame("group").select(_number_groups("group", values.dtype, _GROUPS))
    frame = group.with_columns(low=shown, high=shown, target=target).drop_nulls("target")
    shares = [(pl.col("target") == label).mean() for label in labels]
    quartiles = [pl.col("target").quantile(share, "linear") for share in (0.25, 0.5, 0.75)]
    told = pl.concat_list(shares or quartiles)
    groups = frame.group_by("group").agg(pl.min("low"), pl.max("high"), told.alias("target"), rows=pl.len())
    by, descending = (["low"], [False]) if is_number else (["rows", "low"], [True, False])
    return groups.sort(by, descending=descending, nulls_last=True).head(_VALUES).to_dicts()


def _number_groups(name: str, dtype: pl.DataType, most: int) -> pl.Expr:
    # From 1 in the order of the values, 0 where missing; of more numbers or dates than `most`, parts of equal size.
    value = pl.col(name).to_physical()
    value = value.cast(pl.UInt8) if dtype == pl.Boolean else value
    places = value.rank("dense")
    if dtype.is_numeric() or dtype.is_temporal():
        parts = value.rank() * most // (value.count() + 1) + 1
        places = pl.when(places.max() > most).then(parts).otherwise(places)
    return places.fill_null(0).cast(pl.UInt32)
