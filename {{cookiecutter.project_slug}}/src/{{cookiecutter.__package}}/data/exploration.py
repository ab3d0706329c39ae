"""The `explore` stage: what the raw table holds and what is suspicious about it, as a table and a page."""

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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
from ..schema import Column, Schema
from ..terminal import get_logger, track
from .loading import ROW_NUMBER, explain_polars_errors, find_raw_files, scan_table
from .splitting import fraction, is_sampled
from .validation import Rule, check_rows

# Longer texts are cut, so that a column of documents fits in memory.
_MOST_ROWS, _MOST_CELLS, _LONGEST_TEXT = 200_000, 20_000_000, 200
# A picture takes a tenth of a second, pairs take longer the more columns there are, and browsers give up at thousands.
_MOST_DRAWN, _MOST_SHOWN = 100, 1000
_GROUPS, _VALUES, _LABELS = 8, 10, 7
_PARTS, _QUARTERS = 32, 4
_SUSPICIOUS, _LEAK = 0.8, 0.95

_logger = get_logger(__name__)


class Sample(NamedTuple):
    """Some of `rows` raw rows, typed, null where missing or unreadable; `missing` counts the former by column.

    `duplicate_share` of all rows repeat another in every column, estimated where the sample has not all of them.
    """

    frame: pl.DataFrame
    rows: int
    missing: dict[str, int]
    broken: dict[Rule, int]
    duplicate_share: float


class Exploration(NamedTuple):
    """What was found in the raw rows, and the page that shows it; none of it tells a value of a sensitive column."""

    statistics: pl.DataFrame
    findings: list[str]
    report: Any
    page: Path


def explore_data(project: Project) -> Exploration:
    """Describe the raw rows in `reports/`; raises ProjectError where a raw file cannot be used."""
    schema, sample = project.schema, read_sample(project)
    statistics = describe_columns(schema, sample)
    findings = find_suspicious(schema, sample, statistics)
    is_told = ~pl.col("column").is_in(list(schema.sensitive))
    statistics = statistics.with_columns(pl.when(is_told).then(pl.col(statistics.columns[5:])))
    page = project.reports / "data_profile.html"
    write_bytes(project.reports / "tables" / "data_profile.csv", statistics.write_csv().encode())
    report, text = _draw_page(schema, sample, statistics, findings)
    write_bytes(page, text.encode())
    for finding in findings:
        _logger.warning("%s", finding)
    _logger.info("Described %s of %s rows, %s columns in %s", sample.frame.height, sample.rows, statistics.height, page)
    return Exploration(statistics, findings, report, page)


def read_sample(project: Project, most_rows: int = _MOST_ROWS) -> Sample:
    """About `most_rows` of the raw rows, fewer of a wide table, or all rows if there are no more.

    A row's place among all rows decides whether it is taken, so that the same files give the same sample.
    Raises ProjectError where a raw file cannot be used.
    """
    columns, names, source = project.schema.columns, list(project.schema.columns), project.pipeline.source
    files = [scan_table(path, source, names).select(names) for path in find_raw_files(project)]
    table = pl.concat(files).with_row_index(ROW_NUMBER)
    typed = {n: c for n, c in columns.items() if c.role == "feature" or c.is_numeric or c.type == "timestamp"}
    cut = [pl.col(name).str.head(_LONGEST_TEXT) for name in columns if name not in typed or columns[name].is_string]
    untyped = [name for name in columns if name not in typed]
    with explain_polars_errors(project.raw):
        rows: int = table.select(pl.len()).collect(engine="streaming").item()
        share = min(most_rows, _MOST_CELLS // len(columns)) / max(1, rows)
        checked = check_rows(table.filter(is_sampled(share)), typed, source, [project.schema.target])
        rules = {rule: found for rule, found in checked.broken.items() if columns[rule.column].role == "feature"}
        # Rows that repeat each other are taken together or not at all, so that their share estimates that among all.
        identity = table.select(identity=pl.struct(names).hash())
        parts = [
            checked.frame.select(*checked.typed(), *untyped).with_columns(cut).select(names),
            checked.frame.select(names).null_count(),
            checked.frame.select(found.sum().alias(rule.name) for rule, found in rules.items()),
            identity.filter(fraction(pl.col("identity")) < share),
        ]
        frame, missing, counts, identities = pl.collect_all(parts, engine="streaming")
    broken = {rule: count for rule, count in zip(rules, counts.row(0), strict=True) if count}
    repeated = (identities.height - identities.n_unique()) / max(1, identities.height)
    return Sample(frame, rows, missing.row(0, named=True), broken, repeated)


def describe_columns(schema: Schema, sample: Sample) -> pl.DataFrame:
    """The statistics of each column; `association` is with the target, 0 to 1, and what follows is of numbers alone."""
    frame, columns = sample.frame, schema.columns
    numbers = pl.DataFrame({each.name: each if each.dtype.is_numeric() else None for each in frame}).cast(pl.Float64)
    quantiles = {"minimum": 0.0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "maximum": 1.0}
    associations = measure_associations(frame.select(list(schema.features)), frame[schema.target])
    return pl.DataFrame(
        {
            "column": list(columns),
            "type": [column.type for column in columns.values()],
            "role": ["target" if name == schema.target else column.role for name, column in columns.items()],
            "rows": frame.height,
            "missing_share": [sample.missing[name] / max(1, frame.height) for name in columns],
            "distinct": frame.select(pl.all().drop_nulls().n_unique()).row(0),
            "association": [associations.get(name) for name in columns],
            "mean": numbers.mean().row(0),
            "standard_deviation": numbers.std().row(0),
            **{name: numbers.quantile(share, "linear").row(0) for name, share in quantiles.items()},
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


def find_leaks(associations: Mapping[str, float | None]) -> dict[str, str]:
    """How well features tell the target that tell it better than most honest ones do, the best ones first."""
    strong = {name: strength or 0 for name, strength in associations.items() if (strength or 0) >= _SUSPICIOUS}
    where = "by its values or by where it is missing"
    return {
        name: f"{'almost perfectly' if strength >= _LEAK else 'suspiciously well'}, {where} ({strength:.3f} of 1)"
        for name, strength in sorted(strong.items(), key=lambda item: -item[1])
    }


def find_suspicious(schema: Schema, sample: Sample, statistics: pl.DataFrame) -> list[str]:
    """The warnings on a table, those first that spoil a model most; none tells a value of a sensitive column."""
    columns = statistics.filter(pl.col("role").is_in(["feature", "target"]))
    columns = columns.with_columns(rows_each=pl.col("rows") / pl.col("distinct"))
    distinct, missing = pl.col("distinct"), pl.col("missing_share")

    def tell(condition: pl.Expr, message: str) -> list[str]:
        return [f"{column['column']}: {message.format(**column)}" for column in columns.filter(condition).to_dicts()]

    remedy = "If it is known only after the target, give it role: ignored in config/schema.yaml."
    leaks = find_leaks(dict(columns.select("column", "association").iter_rows()))
    findings = [f"{name}: It tells the target {leak}. {remedy}" for name, leak in leaks.items()]
    for rule, rows in sample.broken.items():
        message = f"{rows:,} rows ({rows / sample.frame.height:.2%}) break its rule {rule.kind!r} in config/schema.yaml"
        findings.append(f"{rule.column}: {message}; `data` rejects them.")
    if schema.labels and schema.target not in schema.sensitive:
        findings += _find_imbalance(sample.frame[schema.target], schema.labels)
    if sample.duplicate_share >= 0.01:
        message = f"{sample.duplicate_share:.1%} of the rows repeat another in every column"
        findings.append(f"{message}; validation.duplicates in config/pipeline.yaml says what becomes of them.")
    return [
        *findings,
        *tell(distinct == 0, "It has no value in any row; give it role: ignored in config/schema.yaml."),
        *tell((distinct > 0) & (missing >= 0.9), "{missing_share:.1%} of its values are missing."),
        *tell(
            (distinct == 1) & (missing == 0), "It has one value in all rows, so that a model learns nothing from it."
        ),
        *tell(
            pl.col("column").is_in([name for name, column in schema.columns.items() if column.categories])
            & (distinct > 50),
            "It has {distinct:,} categories of about {rows_each:,.4g} rows each, one feature for each of them. "
            "Without its list of categories the model learns what they have in common.",
        ),
    ]


def _find_imbalance(target: pl.Series, labels: Sequence[str]) -> Iterator[str]:
    rows = {label: int((target == label).sum()) for label in labels}
    most, least = max(labels, key=lambda label: rows[label]), min(labels, key=lambda label: rows[label] or math.inf)
    if rows[most] >= 20 * rows[least] > 0:
        message = (
            f"Class {most!r} is {rows[most] / rows[least]:.0f} times as frequent as {least!r}: accuracy says little"
        )
        yield f"{target.name}: {message} here; take balanced_accuracy or roc_auc as gate.metric in config/model.yaml."
    for label, count in rows.items():
        if count < 10:
            message = f"Class {label!r} has {count} of {len(target):,} rows"
            yield f"{target.name}: {message}: too few to learn it and to measure it."


def _draw_page(schema: Schema, sample: Sample, statistics: pl.DataFrame, findings: list[str]) -> tuple[Any, str]:
    # Importing skrub makes a folder in the user's home unless it is told of another.
    os.environ.setdefault("SKB_DATA_DIRECTORY", tempfile.gettempdir())
    from skrub import TableReport

    texts, target = sample.frame.select(pl.selectors.string()), sample.frame[schema.target]
    # Texts that nearly all differ would be ten empty bars.
    hidden = {text.name for text in texts if 2 * text.n_unique() > len(text)} | {*schema.sensitive, *schema.identifiers}
    drawn = [name for name in schema.columns if name not in hidden]
    shown = sorted(drawn, key=lambda name: name != schema.target)[:_MOST_SHOWN]
    frame = {name: _to_pandas(sample.frame[name], schema.columns[name]) for name in shown}
    few = len(shown) <= _MOST_DRAWN
    how = {"plot_distributions": few, "compute_associations": few, "open_tab": "distributions" if few else "stats"}
    report = TableReport(pd.DataFrame(frame), verbose=0, **how)
    labels = sorted(schema.labels, key=lambda label: -int((target == label).sum()))[:_LABELS]
    related = statistics.drop_nulls("association").sort("association", descending=True, maintain_order=True)
    related = related.head(0 if schema.target in schema.sensitive else _MOST_DRAWN)
    # One file that asks the network for nothing, in which all that comes from the data is escaped.
    environment = jinja2.Environment(autoescape=True, line_statement_prefix="%", undefined=jinja2.StrictUndefined)
    page = environment.from_string(Path(__file__).with_name("profile.html").read_text(encoding="utf-8"))
    groups = [(row, _group_target(sample.frame[row["column"]], target, labels)) for row in related.to_dicts()]
    left_out = statistics.filter(pl.col("column").is_in(list(hidden))).to_dicts()
    found = {"schema": schema, "sample": sample, "findings": findings, "report": report, "labels": labels}
    # The style of our own pictures is not that of the report's.
    with matplotlib.style.context("default"):
        return report, page.render(found, groups=groups, left_out=left_out)


def _to_pandas(values: pl.Series, column: Column) -> Any:
    # What skrub takes for a date, a number or a category; polars' own way to pandas needs pyarrow.
    if column.type == "integer" and (values.abs() < 2**53).all():
        return pd.array(values.to_numpy(), dtype="Int64")
    if values.dtype.is_numeric() or values.dtype.is_temporal():
        return values.to_numpy()
    return pd.Categorical(values.cast(pl.String).to_list())


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
