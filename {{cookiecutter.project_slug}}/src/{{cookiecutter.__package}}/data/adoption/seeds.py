"""A split seed under which a small table's splits are like the table."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...config import SourceSettings, SplitSettings
from ...schema import Schema
from ..splitting import IDENTITY, SPLITS, identify_texts, identify_values, split_of
from ..validation import check_rows

_TRIED_SEEDS = 40
_BINS = 5


def choose_seed(rows: pl.DataFrame, schema: Schema, source: SourceSettings, split: SplitSettings) -> int:
    """The seed whose splits differ least from the table in size and in the target's distribution.

    By chance a split of fifty rows may lack a class. Looks at the target alone, never at a model.
    """
    features = {name: column for name, column in schema.columns.items() if column.role == "feature"}
    checked = check_rows(
        rows.lazy(), features, [schema.target], decimal_comma=source.decimal_comma, thousands=source.thousands
    )
    identity = identify_texts(schema.identifiers) if schema.identifiers else identify_values(schema.features)
    frame = checked.frame.filter(checked.is_valid).with_columns(identity.alias(IDENTITY)).with_columns(checked.typed())
    seeds = [split.model_copy(update={"seed": split.seed + step}) for step in range(_TRIED_SEEDS)]
    found = frame.select(pl.col(schema.target), *(split_of(each).alias(str(each.seed)) for each in seeds)).collect()
    groups = _group(found[schema.target])
    wanted = np.array([1 - split.test - split.validation, split.validation, split.test])
    costs = [_distance(groups, found[str(each.seed)], wanted) for each in seeds]
    return seeds[int(np.argmin(costs))].seed


def _distance(groups: NDArray[np.int64], splits: pl.Series, wanted: NDArray[np.float64]) -> float:
    places = splits.replace_strict({name: place for place, name in enumerate(SPLITS)}, return_dtype=pl.Int64).to_numpy()
    counts = np.zeros((groups.max(initial=0) + 1, len(SPLITS)))
    np.add.at(counts, (groups, places), 1)
    expected = counts.sum(axis=1, keepdims=True) * wanted
    # Pearson's chi-squared: small classes weigh as much as large ones.
    return float(np.sum((counts - expected) ** 2 / np.maximum(expected, 1e-9)))


def _group(target: pl.Series) -> NDArray[np.int64]:
    if target.dtype.is_numeric():
        ranks = target.rank().to_numpy() * _BINS / (target.len() + 1)
        return ranks.astype(np.int64)
    return target.to_physical().cast(pl.Int64).to_numpy()
