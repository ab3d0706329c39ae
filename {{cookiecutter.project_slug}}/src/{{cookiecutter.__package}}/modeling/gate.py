"""The gate: how sure a metric is, whether a candidate may become `latest`, and every reason why not.

Nothing here reads or writes a file, so that each rule can be tried with made-up models. Rows are drawn with
replacement; where two models are compared, both are measured on the same draw (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapters 13 and 16).

Who tries often on the same rows wins by chance. So candidate k of those that were held against a champion on the same
test rows may pass by chance in a / (k (k + 1)) of the cases, where a is 1 - `gate.confidence`: for all of them
together, however many, that sums to a (alpha spending, as in Foster and Stine, Alpha-investing, 2008).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from ..config import GateSettings
from .metrics import Answers, Array, Metric

INTERVAL_DRAWS = 200

_SETTINGS = "config/model.yaml"
# More rows make an interval narrower, but not usefully so, and every draw measures all of them.
_MOST_ROWS = 20_000

CONSTANT, LINEAR = "the best constant answer", "a linear model"
"""What each candidate is held against besides `latest`: the first must be beaten, the second may not be better."""

Slices = Mapping[str, Array]


@dataclass(frozen=True)
class Measured:
    """A candidate by itself: the gate's metric and number of test rows, milliseconds for one row, bytes to load."""

    value: float
    rows: int
    latency: float
    size: int
    parity_problem: str = ""
    only_label: str = ""  # that which every test row gets, where there is one


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same rows.

    `gain` is how much better the candidate is, in the metric's unit, whichever way is better; `low` and `high` are
    the middle 95% of its resampled values. `confidence` that the candidate is better, and `doubt`, that the champion
    is, are each the smaller of two: the share of the draws in which it is, a tie being none, and a draw without a
    number neither; and, as so many draws cannot tell 0.999 from 0.9999, Student's t of the gain over its deviation.
    """

    candidate: float
    champion: float
    gain: float
    low: float
    high: float
    confidence: float
    doubt: float
    rows: int


@dataclass(frozen=True)
class Look:
    """Which candidate this is, from 1, of those that were held against a champion on the same test rows."""

    number: int = 1
    champion: str = CONSTANT

    def ask(self, settings: GateSettings) -> float:
        """The confidence that it takes."""
        return 1 - (1 - settings.confidence) / (self.number * (self.number + 1))

    def explain(self, settings: GateSettings) -> str:
        """Why it takes that much."""
        return (
            f"this is candidate number {self.number} against {self.champion} on these rows, so "
            f"{100 * self.ask(settings):.6g}% is asked for: gate.confidence of {_SETTINGS}, "
            f"{settings.confidence:.1%}, is the total over all of them"
        )


def measure_interval(metric: Metric, truth: Array, answers: Answers, seed: int) -> tuple[float, float] | None:
    """The middle 95% of a metric's resampled values; None where too few draws give a number."""
    kept = sample_rows(len(truth), seed)
    measure = metric.on_draws(truth[kept], answers.scores[kept], answers.weights)
    values = _resample(measure, len(kept), INTERVAL_DRAWS, seed)
    return None if np.isfinite(values).mean() < 0.5 else _middle(values)


def compare_paired(
    metric: Metric, truth: Array, candidate: Answers, champion: Answers, resamples: int, seed: int
) -> PairedComparison:
    """Measure candidate and champion on the same rows and the same draws of them; `truth` is as `metric` takes it."""
    kept = sample_rows(len(truth), seed)
    new, old = (metric.on_draws(truth[kept], each.scores[kept], each.weights) for each in (candidate, champion))
    gains = _resample(lambda rows: metric.gain(new(rows), old(rows)), len(kept), resamples, seed)
    ours, theirs = metric.compute(truth, *candidate), metric.compute(truth, *champion)
    gain, finite = metric.gain(ours, theirs), gains[np.isfinite(gains)]
    deviation = float(np.std(finite)) if len(finite) else 0.0

    def be_sure(sign: int) -> float:
        tail = float(stdtr(max(len(kept) - 1, 1), sign * gain / deviation)) if deviation else float(sign * gain > 0)
        return min(float(np.mean(sign * gains > 0)), tail)

    return PairedComparison(ours, theirs, gain, *_middle(gains), be_sure(1), be_sure(-1), len(truth))


def sample_rows(rows: int, seed: int, most: int = _MOST_ROWS) -> NDArray[np.int64]:
    """The places of all rows, or, where there are more than 20,000, of so many of them."""
    if rows <= most:
        return np.arange(rows)
    return np.random.default_rng(seed).choice(rows, most, replace=False)


def _resample(measure: Callable[[NDArray[np.int64]], float], rows: int, draws: int, seed: int) -> NDArray[np.float64]:
    # What scipy.stats.bootstrap gives, which a test holds it against. That one warns where a draw has no number,
    # as the AUC of a rare label often has none, and takes longer than some of the metrics.
    generator = np.random.default_rng(seed)
    return np.array([measure(generator.integers(0, rows, rows)) for _ in range(draws)])


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
    if measured.only_label:
        remedy = f"decision.best_for of {_SETTINGS}, such as balanced_accuracy, finds another threshold"
        yield f"every test row gets the label {measured.only_label!r}; {remedy}"


def check_rivals(settings: GateSettings, look: Look, compared: Mapping[str, PairedComparison]) -> Iterator[str]:
    """The reasons against a candidate that come from those it was `compared` with, by name.

    A linear model may not surely be better; all others must surely be beaten.
    """
    for rival, each in compared.items():
        ours, theirs, where = f"{each.candidate:.4f}", f"{each.champion:.4f}", f"on the same {each.rows} rows"
        if rival == LINEAR:
            if each.doubt >= settings.confidence:
                numbers = f"{theirs} against {ours} {where}, confidence {each.doubt:.1%}"
                yield f"test {settings.metric} of {LINEAR} is better: {numbers}"
        elif not each.gain > 0:
            yield f"test {settings.metric} is not better than that of {rival}: {ours} against {theirs} {where}"
        elif not each.confidence >= look.ask(settings):
            sure = f"with a confidence of {100 * each.confidence:.5g}% ({ours} against {theirs} {where})"
            yield f"test {settings.metric} is better than that of {rival} {sure}; {look.explain(settings)}"


def check_against(
    settings: GateSettings,
    metric: Metric,
    truth: Array,
    candidate: Answers,
    champion: Answers,
    slices: Slices,
    seed: int,
    look: Look,
) -> tuple[PairedComparison, list[str]]:
    """Compare a candidate with the champion on the same rows; the reasons against it, none where it passes.

    `truth` is as `metric` takes it; `slices` has, for each declared column, each row's value as text.
    """
    compared = compare_paired(metric, truth, candidate, champion, settings.resamples, seed)
    reasons, tolerance = [*check_rivals(settings, look, {"latest": compared})], settings.slices.tolerance
    measured = measure_groups(settings, metric, truth, slices, candidate, champion)
    for column, value, rows, (ours, theirs) in measured:
        # A metric that no model has on these rows, such as the AUC of one class, says nothing.
        if math.isfinite(theirs) and not metric.gain(theirs, ours) <= tolerance:
            limit = f"gate.slices.tolerance of {_SETTINGS} allows a loss of {tolerance:g}"
            changes = f"test {settings.metric} goes from {theirs:.4f} to {ours:.4f}"
            reasons.append(f"where {column} is {value!r} ({rows} rows), {changes}; {limit}")
    return compared, reasons


def measure_groups(
    settings: GateSettings, metric: Metric, truth: Array, slices: Slices, *models: Answers
) -> Iterator[tuple[str, str, int, list[float]]]:
    """Each column's values that have enough rows: column, value, number of rows, and the metric of each model there."""
    for column, values in slices.items():
        for value in np.unique(values):
            inside = values == value
            if (rows := int(inside.sum())) >= settings.slices.minimum_rows:
                found = [metric.compute(truth[inside], scores[inside], weights) for scores, weights in models]
                yield column, str(value), rows, found
