"""Features that tell the target too well to be true."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schema import Schema

_SUSPICIOUS = 0.9
_MOST_BINS = 32
_FEWEST_BINS = 4
_ROWS_A_BIN = 10
_FEWEST_ROWS = 30


def find_leaks(rows: pl.DataFrame, schema: Schema) -> dict[str, float]:
    """Features that alone explain at least 90% of the target in typed rows, and how much: 0 to 1.

    That is the square of Cramér's V, corrected for the number of groups (Bergsma, 2013). Numbers are cut into at most
    32 groups of equal size, those of the target into 4; missing values are a group, since they may tell as well.
    """
    known = rows.filter(pl.col(schema.target).is_not_null())
    if known.height < _FEWEST_ROWS:
        return {}
    truth = _group(known[schema.target], _FEWEST_BINS)
    # Halves of halves, so that no group of a feature lies across two of the target.
    bins = _FEWEST_BINS
    while bins < _MOST_BINS and 2 * bins * _ROWS_A_BIN <= known.height:
        bins *= 2
    found = {name: _explain(_group(known[name], bins), truth) for name in schema.features}
    return {name: strength for name, strength in found.items() if strength >= _SUSPICIOUS}


def _group(values: pl.Series, bins: int) -> NDArray[np.int64]:
    numbers = values.to_physical() if values.dtype == pl.Enum else values.cast(pl.Float64)
    codes = numbers.rank("dense").cast(pl.Int64)
    if codes.n_unique() > bins and values.dtype != pl.Enum:
        codes = (numbers.rank() * bins / (numbers.count() + 1)).cast(pl.Int64) + 1
    return codes.fill_null(0).to_numpy()


def _explain(groups: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    rows, width = len(truth), int(truth.max()) + 1
    cells = np.bincount(groups * width + truth, minlength=(int(groups.max()) + 1) * width).reshape(-1, width)
    table = cells[cells.sum(axis=1) > 0][:, cells.sum(axis=0) > 0].astype(np.float64)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / rows
    free = [size - 1 for size in table.shape]
    square = float((table**2 / expected).sum() / rows - 1) - free[0] * free[1] / (rows - 1)
    limit = min(size - size**2 / (rows - 1) for size in free)
    return square / limit if limit > 0 else 0.0
