"""Features that tell the target too well to be true."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schema import Schema

_SUSPICIOUS = 0.97
_BINS = 32
_FEWEST_ROWS = 30


def find_leaks(rows: pl.DataFrame, schema: Schema) -> dict[str, float]:
    """Features that alone explain at least 97% of the target in typed rows, and how much: 0 to 1.

    Numbers are cut into 32 groups of equal size; missing values are a group, since they may tell as well. For a
    classification that is the square of Cramér's V, for a regression the share of the ranks' variance between the
    groups, both corrected for the number of groups (Bergsma, 2013; Kelley, 1935).
    """
    known = rows.filter(pl.col(schema.target).is_not_null())
    if known.height < _FEWEST_ROWS or known[schema.target].n_unique() < 2:
        return {}
    explain = _explain_class if schema.labels else _explain_number
    truth = known[schema.target].to_physical() if schema.labels else known[schema.target].rank()
    found = {name: explain(_group(known[name]), truth.to_numpy()) for name in schema.features}
    return {name: strength for name, strength in found.items() if strength >= _SUSPICIOUS}


def _group(values: pl.Series) -> NDArray[np.int64]:
    numbers = values.to_physical() if values.dtype == pl.Enum else values.cast(pl.Float64)
    codes = numbers.rank("dense").cast(pl.Int64)
    if (codes.max() or 0) > _BINS and values.dtype != pl.Enum:  # type: ignore[operator]
        codes = (numbers.rank() * _BINS / (numbers.count() + 1)).cast(pl.Int64) + 1
    return codes.fill_null(0).to_numpy()


def _explain_class(groups: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    rows, width = len(truth), int(truth.max()) + 1
    cells = np.bincount(groups * width + truth, minlength=(int(groups.max()) + 1) * width).reshape(-1, width)
    table = cells[cells.sum(axis=1) > 0][:, cells.sum(axis=0) > 0].astype(np.float64)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / rows
    free = [size - 1 for size in table.shape]
    square = float((table**2 / expected).sum() / rows - 1) - free[0] * free[1] / (rows - 1)
    limit = min(size - size**2 / (rows - 1) for size in free)
    return square / limit if limit > 0 else 0.0


def _explain_number(groups: NDArray[np.int64], truth: NDArray[np.float64]) -> float:
    counts = np.bincount(groups)
    means = np.bincount(groups, weights=truth) / np.maximum(counts, 1)
    free = len(truth) - np.count_nonzero(counts)
    within = float(((truth - means[groups]) ** 2).sum())
    total = float(((truth - truth.mean()) ** 2).sum())
    return 1 - within / total * (len(truth) - 1) / free if free > 0 else 0.0
