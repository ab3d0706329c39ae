"""How much two columns tell of each other, between 0 (nothing) and 1 (everything)."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Numbers = NDArray[np.float64]

_ROWS_AT_ONCE = 20_000
_FEWEST_ROWS = 20


def correlate(frame: NDArray[Any]) -> Numbers:
    """Pearson's correlation, -1 to 1, of each pair of columns of (rows, columns).

    Each pair is compared on the rows in which neither is NaN; NaN where there are fewer than 20 of
    them, or one of the two does not vary there.
    """
    places = frame.shape[1]
    with np.errstate(all="ignore"):
        # Standardised first, so that the sums below do not cancel.
        present = ~np.isnan(frame)
        counts = np.maximum(present.sum(axis=0), 1)
        centre = np.where(present, frame, 0).sum(axis=0) / counts
        scale = np.sqrt(np.where(present, (frame - centre) ** 2, 0).sum(axis=0) / counts)
    scale[~(scale > 0)] = 1
    rows, sums, squares, products = np.zeros((4, places, places))
    for start in range(0, len(frame), _ROWS_AT_ONCE):
        chunk = slice(start, start + _ROWS_AT_ONCE)
        known = present[chunk].astype(np.float64)
        values = np.where(present[chunk], (frame[chunk] - centre) / scale, 0)
        rows += known.T @ known
        sums += values.T @ known
        squares += (values**2).T @ known
        products += values.T @ values
    with np.errstate(all="ignore"):
        covariance = products - sums * sums.T / rows
        spread = squares - sums**2 / rows
        # Rounding leaves a trace of variance in a column that is constant on the shared rows.
        spread[spread < 1e-9 * rows] = np.nan
        correlation = covariance / np.sqrt(spread * spread.T)
    correlation[rows < _FEWEST_ROWS] = np.nan
    return np.clip(correlation, -1, 1)


def cramers_v(left: Codes, right: Codes) -> float:
    """Cramér's V of two categorical columns, corrected for bias; NaN if one of them is constant.

    Cramér, Mathematical Methods of Statistics, 1946, chapter 21; the correction, without which columns
    with many categories look associated by chance, is Bergsma, Journal of the Korean Statistical
    Society 42, 2013.
    """
    rows = len(left)
    # Only the cells that occur: a table of all pairs may not fit in memory.
    width = int(right.max(initial=0)) + 1
    cells, observed = np.unique(left * width + right, return_counts=True)
    _, left_counts = np.unique(left, return_counts=True)
    _, right_counts = np.unique(right, return_counts=True)
    if len(left_counts) < 2 or len(right_counts) < 2:
        return math.nan
    margin_left, margin_right = np.bincount(left), np.bincount(right)
    expected = margin_left[cells // width] * (margin_right[cells % width] / rows)
    square = float((observed**2 / expected).sum() / rows - 1)
    corrected = max(0.0, square - (len(left_counts) - 1) * (len(right_counts) - 1) / (rows - 1))
    sizes = [len(counts) - (len(counts) - 1) ** 2 / (rows - 1) for counts in (left_counts, right_counts)]
    smaller = min(sizes) - 1
    return min(1.0, math.sqrt(corrected / smaller)) if smaller > 0 else math.nan


def correlation_ratio(groups: Codes, values: Numbers) -> float:
    """How much of a number's spread a categorical column explains; NaN if one of them is constant.

    Fisher's correlation ratio (Statistical Methods for Research Workers, 1925), with the correction for
    many groups of Kelley, PNAS 21, 1935: the square root of epsilon squared.
    """
    rows = len(values)
    _, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    total = float(((values - values.mean()) ** 2).sum()) if rows else 0.0
    if len(counts) < 2 or rows <= len(counts) or total <= 0:
        return math.nan
    means = np.bincount(places, weights=values) / counts
    within = float(((values - means[places]) ** 2).sum())
    return math.sqrt(max(0.0, 1 - (within / total) * (rows - 1) / (rows - len(counts))))
