"""Bootstrap: how sure a metric is, and how sure it is that one model beats another.

Rows are drawn with replacement; where two models are compared, both are measured on the same draw
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import Metric

# More rows make an interval narrower, but not usefully so, and every draw measures all of them.
MOST_ROWS = 20_000

INTERVAL_DRAWS = 200


@dataclass(frozen=True)
class Interval:
    """The middle 95% of a metric's resampled values."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same rows.

    `gain` is how much better the candidate is, in the metric's unit, whichever way is better; `low`
    and `high` are the middle 95% of its resampled values; `confidence` is the share of the draws in
    which the candidate is better, a tie being none.
    """

    candidate: float
    champion: float
    gain: float
    low: float
    high: float
    confidence: float
    rows: int


def measure_interval(metric: Metric, truth: NDArray[Any], scores: NDArray[Any], seed: int) -> Interval | None:
    """The interval of a metric; None where too few draws give a number."""
    rows = sample_rows(len(truth), seed)
    values = [metric.compute(truth[draw], scores[draw]) for draw in _draw(rows, INTERVAL_DRAWS, seed)]
    finite = np.array([value for value in values if np.isfinite(value)])
    if len(finite) < INTERVAL_DRAWS / 2:
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return Interval(float(low), float(high))


def compare_paired(
    metric: Metric,
    truth: NDArray[Any],
    candidate: NDArray[Any],
    champion: NDArray[Any],
    resamples: int,
    seed: int,
) -> PairedComparison:
    """Measure candidate and champion on the same rows and the same draws of them.

    Args:
        metric: what to measure.
        truth: what is true of each row, as `metric` takes it.
        candidate: the candidate's scores, in the rows of `truth`.
        champion: the champion's scores, in the rows of `truth`.
        resamples: how many draws.
        seed: the same seed gives the same draws.
    """
    sign = 1 if metric.greater_is_better else -1
    rows = sample_rows(len(truth), seed)
    gains = np.array(
        [
            sign * (metric.compute(truth[draw], candidate[draw]) - metric.compute(truth[draw], champion[draw]))
            for draw in _draw(rows, resamples, seed)
        ]
    )
    finite = gains[np.isfinite(gains)]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (float("nan"), float("nan"))
    candidate_value = metric.compute(truth, candidate)
    champion_value = metric.compute(truth, champion)
    return PairedComparison(
        candidate=candidate_value,
        champion=champion_value,
        gain=sign * (candidate_value - champion_value),
        low=float(low),
        high=float(high),
        # A draw without a number counts against the candidate.
        confidence=float(np.count_nonzero(gains > 0) / len(gains)),
        rows=len(truth),
    )


def sample_rows(rows: int, seed: int) -> NDArray[np.int64]:
    """The places of all rows, or, where there are more than 20,000, of so many of them."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False)


def _draw(rows: NDArray[np.int64], resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield rows[generator.integers(0, len(rows), len(rows))]
