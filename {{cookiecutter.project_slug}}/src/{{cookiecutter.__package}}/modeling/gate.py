"""The gate: how sure a metric is, whether a candidate may become `latest`, and every reason why not.

Nothing here reads or writes a file, so that each rule can be tried with made-up models. Rows are drawn with
replacement; where two models are compared, both are measured on the same draw (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapters 13 and 16).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import GateSettings
from .metrics import Metric

INTERVAL_DRAWS = 200

_SETTINGS = "config/model.yaml"
# More rows make an interval narrower, but not usefully so, and every draw measures all of them.
_MOST_ROWS = 20_000

Array = NDArray[Any]
Slices = Mapping[str, Array]


@dataclass(frozen=True)
class Measured:
    """A candidate by itself: the gate's metric and number of test rows, milliseconds for one row, bytes to load."""

    value: float
    rows: int
    latency: float
    size: int
    parity_problem: str = ""


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same rows.

    `gain` is how much better the candidate is, in the metric's unit, whichever way is better; `low` and `high` are
    the middle 95% of its resampled values; `confidence` is the share of the draws in which the candidate is better,
    a tie being none, and a draw without a number neither.
    """

    candidate: float
    champion: float
    gain: float
    low: float
    high: float
    confidence: float
    rows: int


@dataclass(frozen=True)
class Verdict:
    """What the gate says: no reason against it means that the candidate passed."""

    reasons: tuple[str, ...]
    comparison: PairedComparison | None = None

    @property
    def passed(self) -> bool:
        """Whether the candidate may become `latest`."""
        return not self.reasons


def measure_interval(metric: Metric, truth: Array, scores: Array, seed: int) -> tuple[float, float] | None:
    """The middle 95% of a metric's resampled values; None where too few draws give a number."""
    values = _resample(metric.on_draws(truth, scores), len(truth), INTERVAL_DRAWS, seed)
    return None if np.isfinite(values).mean() < 0.5 else _middle(values)


def compare_paired(
    metric: Metric, truth: Array, candidate: Array, champion: Array, resamples: int, seed: int
) -> PairedComparison:
    """Measure candidate and champion on the same rows and the same draws of them; `truth` is as `metric` takes it."""
    new, old = metric.on_draws(truth, candidate), metric.on_draws(truth, champion)
    gains = _resample(lambda rows: metric.gain(new(rows), old(rows)), len(truth), resamples, seed)
    ours, theirs = metric.compute(truth, candidate), metric.compute(truth, champion)
    confidence = float(np.mean(gains > 0))
    return PairedComparison(ours, theirs, metric.gain(ours, theirs), *_middle(gains), confidence, len(truth))


def sample_rows(rows: int, seed: int) -> NDArray[np.int64]:
    """The places of all rows, or, where there are more than 20,000, of so many of them."""
    if rows <= _MOST_ROWS:
        return np.arange(rows)
    return np.random.default_rng(seed).choice(rows, _MOST_ROWS, replace=False)


def _resample(measure: Callable[[NDArray[np.int64]], float], rows: int, draws: int, seed: int) -> NDArray[np.float64]:
    # What scipy.stats.bootstrap gives, which a test holds it against. That one warns where a draw has no number,
    # as the AUC of a rare label often has none, and takes longer than some of the metrics.
    kept, generator = sample_rows(rows, seed), np.random.default_rng(seed)
    return np.array([measure(kept[generator.integers(0, len(kept), len(kept))]) for _ in range(draws)])


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (math.nan, math.nan)
    return float(low), float(high)


def check_alone(settings: GateSettings, metric: Metric, measured: Measured) -> Iterator[str]:
    """The reasons against a candidate that need no other model."""
    if measured.rows < settings.minimum_rows:
        limit = f"gate.minimum_rows of {_SETTINGS} asks for {settings.minimum_rows}"
        yield f"{measured.rows} test rows are too few to judge by; {limit}"
    if not math.isfinite(measured.value):
        yield f"test {settings.metric} is {measured.value}, which is no number"
    elif not metric.gain(measured.value, settings.minimum) >= 0:
        relation = "below" if metric.greater_is_better else "above"
        limit = f"gate.minimum {settings.minimum:g} of {_SETTINGS}"
        yield f"test {settings.metric} {measured.value:.4f} is {relation} {limit}"
    if not measured.latency <= settings.maximum_latency_ms:
        limit = f"gate.maximum_latency_ms of {_SETTINGS} allows {settings.maximum_latency_ms:g}"
        yield f"a prediction takes {measured.latency:.1f} ms; {limit}"
    if measured.size > 1e6 * settings.maximum_size_mb:
        limit = f"gate.maximum_size_mb of {_SETTINGS} allows {settings.maximum_size_mb:g}"
        yield f"the model has {measured.size / 1e6:.1f} MB; {limit}"
    if measured.parity_problem:
        yield f"it cannot be served by ONNX: {measured.parity_problem}; parity.required of {_SETTINGS} is true"


def check_against(
    settings: GateSettings, metric: Metric, truth: Array, candidate: Array, champion: Array, slices: Slices, seed: int
) -> Verdict:
    """Compare a candidate with the champion on the same rows.

    `truth` is as `metric` takes it; `slices` has, for each declared column, each row's value as text.
    """
    compared = compare_paired(metric, truth, candidate, champion, settings.resamples, seed)
    reasons, tolerance = [], settings.slices.tolerance
    numbers = f"{compared.candidate:.4f} against {compared.champion:.4f} on the same {compared.rows} rows"
    if not compared.gain > 0:
        reasons.append(f"test {settings.metric} is not better than that of latest: {numbers}")
    elif not compared.confidence >= settings.confidence:
        draws = f"in {compared.confidence:.1%} of the bootstrap's draws ({numbers})"
        limit = f"gate.confidence of {_SETTINGS} asks for {settings.confidence:.1%}"
        reasons.append(f"test {settings.metric} is better {draws}; {limit}")
    for column, value, inside in find_groups(slices, settings.slices.minimum_rows):
        ours, theirs = (metric.compute(truth[inside], scores[inside]) for scores in (candidate, champion))
        # A metric that no model has on these rows, such as the AUC of one class, says nothing.
        if math.isfinite(theirs) and not metric.gain(theirs, ours) <= tolerance:
            where = f"where {column} is {value!r} ({np.count_nonzero(inside)} rows)"
            limit = f"gate.slices.tolerance of {_SETTINGS} allows a loss of {tolerance:g}"
            reasons.append(f"{where}, test {settings.metric} goes from {theirs:.4f} to {ours:.4f}; {limit}")
    return Verdict(tuple(reasons), compared)


def find_groups(slices: Slices, minimum_rows: int) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Each column's values that have enough rows: column, value, and which rows have it."""
    for column, values in slices.items():
        for value in np.unique(values):
            inside = values == value
            if np.count_nonzero(inside) >= minimum_rows:
                yield column, str(value), inside
