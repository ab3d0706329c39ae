"""The `explore` stage: what the raw table holds, as a table and a page."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import polars as pl

from ..config import Project
from ..files import write_bytes
from ..schema import Column, Schema
from ..terminal import get_logger, track
from .loading import ROW_NUMBER, explain_polars_errors, find_raw_files, require_columns, scan_table
from .profile import ColumnProfile, Finding, Sample, cut_into_groups, describe_column, find_suspicious
from .splitting import fraction, scramble
from .validation import check_rows

PAGE_FILE = "data_profile.html"
TABLE_FILE = "data_profile.csv"

_MOST_ROWS = 200_000
_MOST_CELLS = 20_000_000
# Longer texts of columns that the model does not see are cut, so that a column of documents fits in memory.
_LONGEST_TEXT = 200
# A picture takes a tenth of a second, pairs take longer the more columns there are, and browsers give up at thousands.
_MOST_DRAWN = 100
_MOST_SHOWN = 1000
_GROUPS, _VALUES, _LABELS = 8, 10, 7
_ABSENT = "absent"

_logger = get_logger(__name__)


@dataclass(frozen=True)
class Exploration:
    """What was found in the raw rows, and the page that shows it; none of it tells a value of a sensitive column."""

    statistics: pl.DataFrame
    findings: list[Finding]
    report: Any
    page: Path


def explore_data(project: Project) -> Exploration:
    """Describe the raw rows, before any is rejected, in `reports/data_profile.html` and `reports/tables`.

    Raises:
        ProjectError: a raw file cannot be used.
    """
    schema, sample = project.schema, read_sample(project)
    columns = [describe_column(schema, sample, name) for name in track(list(schema.columns), "Describing columns")]
    findings = find_suspicious(schema, sample, columns)
    told = [ColumnProfile(*astuple(column)[:5]) if column.column in schema.sensitive else column for column in columns]
    statistics = pl.DataFrame(told)
    page = project.reports / PAGE_FILE
    write_bytes(project.reports / "tables" / TABLE_FILE, statistics.write_csv().encode())
    report = _draw_report(schema, sample)
    write_bytes(page, _write_page(schema, sample, told, findings, report).encode())
    for finding in findings:
        _logger.warning("%s", finding)
    _logger.info("Described %s of %s rows, %s columns in %s", sample.frame.height, sample.rows, len(columns), page)
    return Exploration(statistics, findings, report, page)


def read_sample(project: Project, most_rows: int = _MOST_ROWS) -> Sample:
    """About `most_rows` of the raw rows, fewer of a wide table, or all rows if there are no more.

    A row's place among all rows decides whether it is taken, so that the same files give the same sample.

    Raises:
        ProjectError: a raw file cannot be used.
    """
    columns, source = project.schema.columns, project.pipeline.source
    table = _scan_files(project)
    features = {name for name, column in columns.items() if column.role == "feature"}
    typed = {n: c for n, c in columns.items() if n in features or c.is_numeric or c.type == "timestamp"}
    texts = [pl.col(name).str.head(_LONGEST_TEXT) for name in columns if name not in typed]
    with explain_polars_errors(project.raw):
        rows: int = table.select(pl.len()).collect(engine="streaming").item()
        share = min(most_rows, _MOST_CELLS // len(columns)) / max(1, rows)
        taken = table.filter(fraction(scramble(pl.col(ROW_NUMBER).cast(pl.UInt64), 0)) < share)
        checked = check_rows(taken, typed, [project.schema.target], source.decimal_comma, source.thousands)
        counted = {(str(r.column), str(r.kind)): found for r, found in checked.broken.items() if r.column in features}
        counted |= {(name, _ABSENT): pl.col(name).is_null() for name in columns}
        # Rows that repeat each other have one identity, so that they are taken together or not at all, and
        # their share among those taken estimates the share among all.
        identity = table.select(identity=pl.struct(list(columns)).hash())
        frame, counts, identities = pl.collect_all(
            [
                checked.frame.select(*checked.typed(), *texts).select(list(columns)),
                checked.frame.select(found.sum().alias(str(rule)) for rule, found in counted.items()),
                identity.filter(fraction(pl.col("identity")) < share),
            ],
            engine="streaming",
        )
    found = dict(zip(counted, counts.row(0), strict=True))
    missing = {name: found.pop((name, _ABSENT)) for name in columns}
    broken = {rule: count for rule, count in found.items() if count}
    return Sample(frame, rows, missing, broken, (identities.height - identities.n_unique()) / max(1, identities.height))


def _scan_files(project: Project) -> pl.LazyFrame:
    columns, files = list(project.schema.columns), []
    for path in find_raw_files(project):
        file = scan_table(path, project.pipeline.source)
        with explain_polars_errors(path):
            require_columns(path, file.collect_schema().names(), columns)
        files.append(file.select(columns))
    return pl.concat(files).with_row_index(ROW_NUMBER)


def _draw_report(schema: Schema, sample: Sample) -> Any:
    # Importing skrub makes a folder in the user's home unless it is told of another.
    os.environ.setdefault("SKB_DATA_DIRECTORY", tempfile.gettempdir())
    from skrub import TableReport

    drawn = [name for name in schema.columns if _is_drawn(schema, sample.frame[name])]
    shown = sorted(drawn, key=lambda name: name != schema.target)[:_MOST_SHOWN]
    frame = pd.DataFrame({name: _to_pandas(sample.frame[name], schema.columns[name]) for name in shown})
    few = len(shown) <= _MOST_DRAWN
    tab = "distributions" if few else "stats"
    return TableReport(frame, open_tab=tab, verbose=0, plot_distributions=few, compute_associations=few)


def _is_drawn(schema: Schema, values: pl.Series) -> bool:
    # Texts that nearly all differ would be ten empty bars.
    is_text = values.dtype == pl.String and 2 * values.n_unique() > len(values)
    return not (is_text or values.name in schema.sensitive or values.name in schema.identifiers)


def _to_pandas(values: pl.Series, column: Column) -> Any:
    """What skrub takes for a date, a number or a category; polars' own way to pandas needs pyarrow."""
    if column.type == "integer" and (values.abs() < 2**53).all():
        return pd.array(values.to_numpy(), dtype="Int64")
    if values.dtype.is_numeric() or values.dtype.is_temporal():
        return values.to_numpy()
    return pd.Categorical(values.cast(pl.String).to_list())


def _write_page(
    schema: Schema, sample: Sample, columns: Sequence[ColumnProfile], findings: Sequence[Finding], report: Any
) -> str:
    """The whole page: one file that asks the network for nothing, in which all that comes from the data is escaped."""
    environment = jinja2.Environment(autoescape=True, line_statement_prefix="%", undefined=jinja2.StrictUndefined)
    target = sample.frame[schema.target]
    labels = sorted(schema.labels, key=lambda label: -int((target == label).sum()))[:_LABELS]
    related = [column for column in columns if column.association is not None and schema.target not in schema.sensitive]
    related.sort(key=lambda column: -(column.association or 0))
    groups = {c: _group_target(sample.frame[c.column], target, labels) for c in related[:_MOST_DRAWN]}
    return environment.from_string(Path(__file__).with_name("profile.html").read_text(encoding="utf-8")).render(
        schema=schema,
        sample=sample,
        findings=findings,
        left_out=[column for column in columns if not _is_drawn(schema, sample.frame[column.column])],
        report=report,
        labels=labels,
        groups=groups,
    )


def _group_target(values: pl.Series, target: pl.Series, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The target in rows that are alike: the shares of labels, or its lower quartile, median and upper quartile."""
    is_number = values.dtype.is_numeric()
    values = values if is_number else values.cast(pl.String)
    frame = pl.DataFrame({"low": values, "high": values, "group": cut_into_groups(values, _GROUPS), "target": target})
    shares = [(pl.col("target") == label).mean() for label in labels]
    quartiles = [pl.col("target").quantile(share, "linear") for share in (0.25, 0.5, 0.75)]
    told = pl.concat_list(shares or quartiles)
    groups = frame.drop_nulls("target").group_by("group").agg(pl.min("low"), pl.max("high"), told, rows=pl.len())
    by, descending = (["low"], [False]) if is_number else (["rows", "low"], [True, False])
    return groups.sort(by, descending=descending, nulls_last=True).head(_VALUES).to_dicts()
