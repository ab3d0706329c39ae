"""What can be said of each column of a table, and what is suspicious about it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
import polars as pl

from ..schema import Schema

FindingKind = Literal[
    "leak", "schema", "imbalance", "rare_class", "duplicates", "missing", "constant", "cardinality", "twins"
]

NEARLY_ALL_MISSING = 0.9
MANY_CATEGORIES = 50
RARE_CLASS_ROWS = 10
IMBALANCE = 20
DUPLICATES = 0.01
LEAK = 0.95
TWINS = 0.99

_MOST_TWINS = 20
_FEWEST_ROWS = 20
# Correlating takes a step for each row of each pair of columns.
_MOST_STEPS = 1_000_000_000
_GROUPS = 32
_QUANTILES = {"minimum": 0.0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "maximum": 1.0}


@dataclass(frozen=True)
class Sample:
    """Some of `rows` raw rows, before any is rejected: typed, null where missing or unreadable.

    `missing` counts the values of a column that are not there, `broken` those that break a rule, by column and kind;
    `duplicate_share` of all rows repeat another in every column, estimated where the sample has not all of them.
    """

    frame: pl.DataFrame
    rows: int
    missing: dict[str, int]
    broken: dict[tuple[str, str], int]
    duplicate_share: float


@dataclass(frozen=True)
class ColumnProfile:
    """A column; `association` is with the target, from 0 to 1, and what follows it is of numbers alone."""

    column: str
    type: str
    role: str
    rows: int
    missing_share: float
    distinct: int | None = None
    association: float | None = None
    mean: float | None = None
    standard_deviation: float | None = None
    minimum: float | None = None
    lower_quartile: float | None = None
    median: float | None = None
    upper_quartile: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Finding:
    """A warning: what it is about, the column where it is about one, and the sentence to read."""

    kind: FindingKind
    column: str | None
    message: str

    def __str__(self) -> str:
        return self.message if self.column is None else f"{self.column}: {self.message}"


def describe_column(schema: Schema, sample: Sample, name: str) -> ColumnProfile:
    """The statistics of a column in the sample."""
    values = sample.frame[name]
    known = values.drop_nulls()
    numbers: dict[str, float] = {}
    if known.dtype.is_numeric() and len(known):
        found = known.to_numpy()
        numbers = dict(zip(_QUANTILES, np.quantile(found, list(_QUANTILES.values())).tolist(), strict=True))
        numbers |= {"mean": float(found.mean()), "standard_deviation": float(found.std(ddof=min(1, len(found) - 1)))}
    return ColumnProfile(
        column=name,
        type=schema.columns[name].type,
        role="target" if name == schema.target else schema.columns[name].role,
        rows=len(values),
        missing_share=sample.missing[name] / max(1, len(values)),
        distinct=known.n_unique(),
        association=measure_association(values, sample.frame[schema.target]) if name in schema.features else None,
        **numbers,
    )


def measure_association(values: pl.Series, target: pl.Series) -> float | None:
    """How much a column alone tells of the target, 0 (nothing) to 1 (everything); None where one of them is constant.

    For classes Cramér's V with the correction of Bergsma (Journal of the Korean Statistical Society 42, 2013), for
    numbers the correlation ratio with that of Kelley (PNAS 21, 1935), or Pearson's correlation where it is larger.
    """
    frame = pl.DataFrame({"value": values, "group": cut_into_groups(values, _GROUPS), "target": target})
    # Values that are missing are a group like any other: their absence may give the target away.
    frame = frame.drop_nulls("target")
    rows, groups, classes = frame.height, frame["group"].n_unique(), frame["target"].n_unique()
    if groups < 2 or classes < 2 or rows <= groups:
        return None
    if target.dtype.is_numeric():
        deviation, within = (pl.col("target") - mean for mean in (pl.mean("target"), pl.mean("target").over("group")))
        unexplained: float = frame.select((within**2).sum() / (deviation**2).sum()).item()
        shares = [0.0, 1 - unexplained * (rows - 1) / (rows - groups)]
        if values.dtype.is_numeric():
            # Groups blur a straight line, most of all where the target has a long tail.
            shares.append(frame.drop_nulls().select(pl.corr("value", "target").fill_nan(0)).item() ** 2)
        return math.sqrt(max(shares))
    cells = frame.group_by("group", "target", maintain_order=True).agg(rows=pl.len().cast(pl.Float64))
    expected = pl.sum("rows").over("group") * pl.sum("rows").over("target") / rows
    square: float = cells.select((pl.col("rows") ** 2 / expected).sum()).item() / rows - 1
    square = max(0.0, square - (groups - 1) * (classes - 1) / (rows - 1))
    most = min(places - (places - 1) ** 2 / (rows - 1) for places in (groups, classes)) - 1
    return min(1.0, math.sqrt(square / most)) if most > 0 else None


def cut_into_groups(values: pl.Series, most: int) -> pl.Series:
    """Groups of about equal size of a number that has more values than `most`; otherwise the values themselves."""
    if not values.dtype.is_numeric() or values.n_unique() <= most:
        return values
    return pl.Series(pd.qcut(values.to_numpy(), most, labels=False, duplicates="drop"), nan_to_null=True)


def find_suspicious(schema: Schema, sample: Sample, columns: Sequence[ColumnProfile]) -> list[Finding]:
    """The warnings on a table, those first that spoil a model most; none tells a value of a sensitive column."""
    findings = [
        *(finding for column in columns if column.role in ("feature", "target") for finding in _inspect(column)),
        *_find_imbalance(schema, sample.frame[schema.target]),
        *_find_twins(sample.frame.select(name for name in schema.features if sample.frame[name].dtype.is_numeric())),
    ]
    for (name, kind), rows in sample.broken.items():
        message = f"{rows:,} rows ({rows / sample.frame.height:.2%}) break its rule {kind!r} in config/schema.yaml"
        findings.append(Finding("schema", name, f"{message}; `data` rejects them."))
    if sample.duplicate_share >= DUPLICATES:
        message = f"{sample.duplicate_share:.1%} of the rows repeat another in every column"
        setting = "validation.duplicates in config/pipeline.yaml says what becomes of them."
        findings.append(Finding("duplicates", None, f"{message}; {setting}"))
    return sorted(findings, key=lambda finding: get_args(FindingKind).index(finding.kind))


def _inspect(column: ColumnProfile) -> Iterator[Finding]:
    name, distinct = column.column, column.distinct or 0
    if (column.association or 0) >= LEAK:
        message = f"It all but determines the target (association {column.association:.3f}). If it is known only after"
        yield Finding("leak", name, f"{message} the target, give it role: ignored in config/schema.yaml.")
    if not distinct:
        yield Finding("missing", name, "It has no value in any row; give it role: ignored in config/schema.yaml.")
    elif column.missing_share >= NEARLY_ALL_MISSING:
        yield Finding("missing", name, f"{column.missing_share:.1%} of its values are missing.")
    if distinct == 1 and not column.missing_share:
        yield Finding("constant", name, "It has one value in all rows, so that a model learns nothing from it.")
    if column.type == "category" and distinct > MANY_CATEGORIES:
        message = f"It has {distinct:,} categories of about {column.rows / distinct:,.4g} rows each, one feature for"
        yield Finding("cardinality", name, f"{message} each of them. Group them, or give it role: ignored.")


def _find_imbalance(schema: Schema, target: pl.Series) -> Iterator[Finding]:
    if not schema.labels or schema.target in schema.sensitive:
        return
    rows = {label: int((target == label).sum()) for label in schema.labels}
    for label, count in rows.items():
        if count < RARE_CLASS_ROWS:
            message = f"Class {label!r} has {count} of {len(target):,} rows: too few to learn it and to measure it."
            yield Finding("rare_class", schema.target, message)
    most, least = max(rows.values()), min(filter(None, rows.values()), default=0)
    if most >= IMBALANCE * least > 0:
        names = [next(label for label in rows if rows[label] == count) for count in (most, least)]
        message = f"Class {names[0]!r} is {most / least:.0f} times as frequent as {names[1]!r}: accuracy says little"
        setting = "here; take balanced_accuracy or roc_auc as gate.metric in config/model.yaml."
        yield Finding("imbalance", schema.target, f"{message} {setting}")


def _find_twins(numbers: pl.DataFrame) -> Iterator[Finding]:
    rows = max(_FEWEST_ROWS, _MOST_STEPS // max(1, numbers.width) ** 2)
    some = numbers.gather_every(1 + numbers.height // rows)
    matrix = pd.DataFrame(some.to_dict()).corr(min_periods=_FEWEST_ROWS).to_numpy()
    for left, right in np.argwhere(np.triu(np.abs(np.nan_to_num(matrix)) >= TWINS, k=1))[:_MOST_TWINS]:
        message = f"It tells the same as {numbers.columns[right]!r} (correlation {matrix[left, right]:.3f})"
        yield Finding("twins", numbers.columns[left], f"{message}; one may do.")
