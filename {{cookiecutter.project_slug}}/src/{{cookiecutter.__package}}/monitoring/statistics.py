"""The tests: a p-value for "both samples come from one distribution", and how large the change is.

Every p-value is exact or errs to the safe side, so that the rate of false alarms is at most the one
that was asked for.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_PSI_BINS = 10
_LEAST_EXPECTED = 5

_Counts = NDArray[np.int64]


def kolmogorov_smirnov(reference: _Counts, window: _Counts, greater: bool = False) -> tuple[float, float]:
    """The two-sample Kolmogorov-Smirnov distance, and its p-value, of counts on one grid of steps.

    A grid can only shorten the distance, and ties too, so the p-value errs to the safe side.

    Args:
        reference: rows in each step, from low to high; the first and last are open to the outside.
        window: the same of the other sample.
        greater: whether only larger values in the window count.
    """
    below = np.cumsum(reference) / reference.sum() - np.cumsum(window) / window.sum()
    rows = round(float(reference.sum() * window.sum() / (reference.sum() + window.sum())))
    if greater:
        distance = max(float(below.max()), 0.0)
        return distance, float(stats.ksone.sf(distance, max(rows, 1))) if distance else 1.0
    distance = float(np.abs(below).max())
    return distance, float(stats.kstwo.sf(distance, max(rows, 1))) if distance else 1.0


def chi_square(reference: _Counts, window: _Counts) -> tuple[float, float]:
    """Pearson's chi-square statistic of two samples' counts by category, and its p-value.

    Categories in which fewer than five rows are expected are counted as one, since the statistic
    follows its distribution only above that (Cochran, 1954).
    """
    table = np.stack([reference, window]).astype(np.int64)
    table = table[:, table.sum(axis=0) > 0]
    smaller = table.sum(axis=1).min() / table.sum()
    rare = table.sum(axis=0) * smaller < _LEAST_EXPECTED
    if np.count_nonzero(rare) > 1:
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    if table.shape[1] < 2:
        return 0.0, 1.0
    if table.shape[1] == 2:
        return float(stats.chi2_contingency(table).statistic), float(stats.fisher_exact(table).pvalue)
    result = stats.chi2_contingency(table)
    return float(result.statistic), float(result.pvalue)


def share_change(reference: int, of_reference: int, window: int, of_window: int, rise_only: bool) -> float:
    """Fisher's exact p-value for a share of the window that differs from, or rose above, the reference's."""
    table = [[window, of_window - window], [reference, of_reference - reference]]
    return float(stats.fisher_exact(table, alternative="greater" if rise_only else "two-sided").pvalue)


def exceedance(reference: int, window: int, beyond: int) -> float:
    """The chance that `beyond` rows of the window are more extreme than every row of the reference.

    If all rows come from one distribution, each set of rows is equally likely to be the extreme one
    (the exceedance test; Gibbons and Chakraborti, Nonparametric Statistical Inference). The same
    holds for rows of a category that the reference lacks.
    """
    return float(stats.hypergeom.pmf(beyond, reference + window, beyond, window))


def stability_index(reference: _Counts, window: _Counts) -> float:
    """The population stability index, sum of (p - q) ln(p / q), with half a row added to each bin."""
    expected = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    found = (window + 0.5) / (window.sum() + 0.5 * len(window))
    return float(np.sum((found - expected) * np.log(found / expected)))


def merge_steps(reference: _Counts, window: _Counts) -> tuple[_Counts, _Counts]:
    """Counts on a fine grid as about ten bins, each with a tenth of the reference's rows or more."""
    enough = reference.sum() / _PSI_BINS
    ends, rows = [], 0
    for place, count in enumerate(reference.tolist()):
        rows += count
        if rows >= enough:
            ends.append(place + 1)
            rows = 0
    starts = [0, *ends[:-1]]
    return np.add.reduceat(reference, starts), np.add.reduceat(window, starts)


def adjust(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: with those at or below `rate` rejected, the chance of any error is at most `rate`.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = largest
    return adjusted
