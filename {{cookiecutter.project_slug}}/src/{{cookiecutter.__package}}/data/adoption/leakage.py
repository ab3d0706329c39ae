"""Features that tell the target too well to be true."""

import numpy as np
import polars as pl

from ...schema import Column, Task
from ..validation import check_rows

_SUSPICIOUS = 0.99
_BINS = 32
_FEWEST_ROWS = 30
_FEWEST_OF_A_CLASS = 5


def find_leaks(
    sample: pl.DataFrame,
    features: dict[str, Column],
    target: tuple[str, Column],
    task: Task,
    decimal_comma: bool,
    thousands: str,
) -> dict[str, float]:
    """Features that alone explain at least 99 % of the target in a sample of rows, and how much.

    For a classification that is the balanced accuracy of saying what the other rows with the same
    value (a number: of the same 1/32 of the rows) are mostly; for a regression the squared rank
    correlation, or the share of variance that the means of the other rows with the same value explain.
    """
    name, column = target
    checked = check_rows(sample.lazy(), features | {name: column}, decimal_comma=decimal_comma, thousands=thousands)
    frame = checked.frame.select(checked.typed()).collect()
    leaks = {}
    for feature in features:
        pair = frame.select(value=pl.col(feature), truth=pl.col(name)).drop_nulls()
        if pair.height < _FEWEST_ROWS:
            continue
        strength = _explain_class(pair) if task == "classification" else _explain_number(pair)
        if strength >= _SUSPICIOUS:
            leaks[feature] = strength
    return leaks


def _explain_class(pair: pl.DataFrame) -> float:
    frame = pair.select(_group(pair["value"]), pl.col("truth").cast(pl.String))
    classes = frame["truth"].value_counts().filter(pl.col("count") >= _FEWEST_OF_A_CLASS)["truth"]
    if classes.len() < 2:
        return 0
    counts = frame.group_by("group", "truth").len()
    best = (
        counts.join(counts, on="group", suffix="_other")
        # Without the row itself, which would tell on it.
        .with_columns(others=pl.col("len_other") - (pl.col("truth") == pl.col("truth_other")).cast(pl.Int64))
        .filter(pl.col("others") > 0)
        .sort("others", descending=True)
        .group_by("group", "truth")
        .first()
    )
    right = best.filter(pl.col("truth") == pl.col("truth_other")).group_by("truth").agg(right=pl.col("len").sum())
    totals = counts.group_by("truth").agg(total=pl.col("len").sum()).filter(pl.col("truth").is_in(classes.implode()))
    shares = totals.join(right, on="truth", how="left").select(pl.col("right").fill_null(0) / pl.col("total"))
    return float(np.mean(shares.to_series().to_numpy()))


def _explain_number(pair: pl.DataFrame) -> float:
    truth = pair["truth"].to_numpy()
    variance = float(np.var(truth))
    if not variance:
        return 0
    if pair["value"].dtype.is_numeric():
        ranks = [series.rank().to_numpy() for series in (pair["value"], pair["truth"])]
        if any(np.std(rank) == 0 for rank in ranks):
            return 0
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1] ** 2)
    of_value = pl.len().over("value") - 1
    others = (pl.col("truth").sum().over("value") - pl.col("truth")) / of_value
    guess = pair.select(pl.when(of_value > 0).then(others).otherwise(float(np.mean(truth)))).to_series().to_numpy()
    return 1 - float(np.mean((truth - guess) ** 2)) / variance


def _group(values: pl.Series) -> pl.Series:
    if values.dtype.is_numeric() and values.n_unique() > _BINS:
        return (values.rank() * _BINS / (values.len() + 1)).cast(pl.Int64).alias("group")
    return values.to_physical().cast(pl.Int64).alias("group")
