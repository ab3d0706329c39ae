"""The statistics: two samples, counted on one grid of steps or categories, and whether chance explains the difference.

Every p-value is exact or errs to the safe side, so that the rate of false alarms is at most the one that was asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_PSI_BINS = 10
_LEAST_EXPECTED = 5

Counts = NDArray[np.int64]
Share = tuple[int, int]  # rows that something holds for, of how many


@dataclass(frozen=True)
class Pair:
    """Rows of the reference and of the window in the same categories (`names`), or in steps between `edges`.

    The first step lies below the smallest edge, the second is that edge itself, and the last is open.
    """

    subject: str
    reference: Counts
    window: Counts
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One comparison; `pair` has the distributions, where that is what was compared.

    `effect` is a population stability index or a change in the share of rows, and has to reach
    `limit`. `p_value` is of this check alone, `adjusted_p_value` accounts for all checks of the run.
    """

    subject: str
    kind: str
    test: str
    statistic: float
    effect: float
    limit: float
    p_value: float
    detail: str
    adjusted_p_value: float = 1.0
    is_drift: bool = False
    pair: Pair | None = None

    @property
    def finding(self) -> str:
        """The name under which an alarm is remembered."""
        return f"{self.subject}: {self.kind}"


def check_distribution(pair: Pair, minimum_psi: float, larger_only: bool = False) -> Check:
    """Whether the window's values are distributed as the reference's; of numbers, `larger_only` looks one way."""
    reference, window = pair.reference, pair.window
    if pair.names:
        test, (statistic, p_value) = "chi-square", chi_square(reference, window)
    else:
        test, (statistic, p_value) = "Kolmogorov-Smirnov", kolmogorov_smirnov(reference, window, larger_only)
        # The index takes ten bins, which begin where the reference has so many tenths of its rows behind it.
        tenths = (np.cumsum(reference) - reference) * _PSI_BINS // reference.sum()
        starts = np.unique(np.minimum(tenths, _PSI_BINS - 1), return_index=True)[1]
        reference, window = np.add.reduceat(reference, starts), np.add.reduceat(window, starts)
    psi = stability_index(reference, window)
    detail = f"PSI {psi:.2f}"
    return Check(pair.subject, "distribution", test, statistic, psi, minimum_psi, p_value, detail, pair=pair)


def check_beyond(pair: Pair, minimum_share: float) -> Check:
    """Whether values lie beyond all those of the reference, or are of categories that it lacks.

    The exceedance test (Gibbons and Chakraborti, Nonparametric Statistical Inference): were all rows of one
    distribution, each set of them were equally likely to be the extreme one. Fisher's test of "none there, these here"
    has that chance, to be corrected for the places where such rows may be.
    """
    of_reference, rows = int(pair.reference.sum()), int(pair.window.sum())
    places = np.flatnonzero(pair.reference == 0)
    beyond = pair.window[places].tolist()
    tails = [fisher((0, of_reference), (count, rows), rise_only=True) for count in beyond if count]
    if pair.names:
        kind, chances = "unseen category", int(np.count_nonzero(pair.reference + pair.window))
        unseen = [f"{pair.names[place]} ({count})" for place, count in zip(places, beyond, strict=True) if count]
        detail = f"{', '.join(unseen[:5]) or 'none'}, of {rows}"
    else:
        kind, chances = "out of range", 2
        detail = f"{beyond[0]} below {pair.edges[0]:g}, {beyond[-1]} above {pair.edges[-1]:g}, of {rows}"
    p_value = min(1.0, chances * min(tails, default=1.0))
    return Check(pair.subject, kind, "exceedance", sum(beyond), sum(beyond) / rows, minimum_share, p_value, detail)


def check_share(
    subject: str, kind: str, reference: Share, window: Share, limit: float, detail: str, rise_only: bool = True
) -> Check:
    """Whether the share of rows rose, or, without `rise_only`, changed; `detail` is formatted with both shares."""
    before, after = reference[0] / reference[1], window[0] / window[1]
    effect = after - before if rise_only else abs(after - before)
    p_value = fisher(reference, window, rise_only)
    return Check(subject, kind, "Fisher", window[0], effect, limit, p_value, detail.format(before, after))


def settle(checks: Sequence[Check], rate: float) -> list[Check]:
    """The checks with adjusted p-values and verdicts: the chance that any finds drift where none is, is at most `rate`.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    settled, largest = list(checks), 0.0
    for rank, place in enumerate(sorted(range(len(checks)), key=lambda place: checks[place].p_value)):
        check = checks[place]
        largest = max(largest, min(1.0, check.p_value * (len(checks) - rank)))
        is_drift = largest <= rate and check.effect >= check.limit
        settled[place] = replace(check, adjusted_p_value=largest, is_drift=is_drift)
    return settled


def kolmogorov_smirnov(reference: Counts, window: Counts, larger_only: bool = False) -> tuple[float, float]:
    """The two-sample distance of counts on one grid, and its p-value, as `scipy.stats.ks_2samp` has it of the rows.

    A grid can only shorten the distance, and ties too, so the p-value errs to the safe side.
    """
    below = np.cumsum(reference) / reference.sum() - np.cumsum(window) / window.sum()
    distance = max(float((below if larger_only else np.abs(below)).max()), 0.0)
    rows = max(round(float(reference.sum() * window.sum() / (reference.sum() + window.sum()))), 1)
    return distance, float((stats.ksone if larger_only else stats.kstwo).sf(distance, rows))


def chi_square(reference: Counts, window: Counts) -> tuple[float, float]:
    """Pearson's chi-square statistic of two samples' counts by category, and its p-value; of two categories, Fisher's.

    Categories in which fewer than five rows are expected are counted as one (Cochran, 1954).
    """
    table = np.stack([reference, window])
    table = table[:, table.sum(axis=0) > 0]
    rare = table.sum(axis=0) * (table.sum(axis=1).min() / table.sum()) < _LEAST_EXPECTED
    if np.count_nonzero(rare) > 1:
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    if table.shape[1] < 2:
        return 0.0, 1.0
    result = stats.chi2_contingency(table)
    return float(result.statistic), float(result.pvalue if table.shape[1] > 2 else stats.fisher_exact(table).pvalue)


def fisher(reference: Share, window: Share, rise_only: bool) -> float:
    """Fisher's exact p-value for a share of the window that differs from, or rose above, the reference's."""
    table = [[rows, total - rows] for rows, total in (window, reference)]
    return float(stats.fisher_exact(table, alternative="greater" if rise_only else "two-sided").pvalue)


def stability_index(reference: Counts, window: Counts) -> float:
    """The population stability index, sum of (p - q) ln(p / q), with half a row added to each bin."""
    expected, found = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (reference, window))
    return float(np.sum((found - expected) * np.log(found / expected)))
