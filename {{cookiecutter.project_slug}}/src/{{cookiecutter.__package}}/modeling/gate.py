"""The gate: how sure a metric is, whether a candidate may become `latest`, and every reason why not.

Nothing here reads or writes a file, so that each rule can be tried with made-up models. Rows are drawn with
replacement; where two models are compared, both are measured on the same draw (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapters 13 and 16).
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ..config import GateSettings, ModelSettings
from .manifest import Comparison
from .metrics import Answers, Array, Metric
from .model import choose_places

INTERVAL_DRAWS = 200
CONSTANT = "the best constant answer"

_SETTINGS = "config/model.yaml"
# More rows make an interval narrower, but not usefully so, and every draw measures all of them.
_MOST_ROWS = 20_000

Slices = Mapping[str, Array]
"""By column, each row's value as text."""


def measure_interval(metric: Metric, truth: Array, answers: Answers, seed: int) -> tuple[float, float] | None:
    """The middle 95% of a metric's resampled values; None where too few draws give a number."""
    kept = sample_rows(len(truth), seed)
    measure = metric.on_draws(truth[kept], answers.scores[kept], answers.weights)
    values = _resample(measure, len(kept), INTERVAL_DRAWS, seed)
    return None if np.isfinite(values).mean() < 0.5 else _middle(values)


def compare_paired(
    settings: ModelSettings, metric: Metric, truth: Array, candidate: Answers, against: str, other: Answers
) -> Comparison:
    """Measure two models on the same rows and the same draws of them; `truth` is as `metric` takes it."""
    kept = sample_rows(len(truth), settings.seed)
    new, old = (metric.on_draws(truth[kept], each.scores[kept], each.weights) for each in (candidate, other))
    draws = _resample(lambda rows: metric.gain(new(rows), old(rows)), len(kept), settings.gate.resamples, settings.seed)
    ours, theirs = metric.compute(truth, *candidate), metric.compute(truth, *other)
    return Comparison(
        against=against,
        candidate=ours,
        other=theirs,
        gain=metric.gain(ours, theirs),
        interval=_middle(draws),
        confidence=float(np.mean(draws > 0)),
        rows=len(truth),
    )


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


def check_alone(
    settings: GateSettings, metric: Metric, truth: Array, answers: Answers, labels: tuple[str, ...]
) -> Iterator[str]:
    """The reasons against a candidate that need no other model."""
    value, rows = metric.compute(truth, *answers), len(truth)
    if rows < settings.minimum_rows:
        limit = f"gate.minimum_rows of {_SETTINGS} asks for {settings.minimum_rows}"
        yield f"{rows} test rows are too few to judge by; {limit}"
    if not math.isfinite(value):
        yield f"test {settings.metric} is {value}, which is no number"
    elif not metric.gain(value, settings.minimum) >= 0:
        relation = "below" if metric.greater_is_better else "above"
        limit = f"gate.minimum {settings.minimum:g} of {_SETTINGS}"
        yield f"test {settings.metric} {value:.4f} is {relation} {limit}"
    if labels and len(given := np.unique(choose_places(*answers))) == 1:
        remedy = f"decision.best_for of {_SETTINGS}, such as balanced_accuracy, finds another threshold"
        yield f"every test row gets the label {labels[given[0]]!r}; {remedy}"


def check_better(settings: GateSettings, compared: Comparison) -> Iterator[str]:
    """The reason against a candidate, if there is one, that it is not surely better than the other."""
    than = f"than that of {compared.against}"
    where = f"{compared.candidate:.4f} against {compared.other:.4f} on the same {compared.rows} rows"
    if not compared.gain > 0:
        yield f"test {settings.metric} is not better {than}: {where}"
    elif not compared.confidence >= settings.confidence:
        limit = f"gate.confidence of {_SETTINGS} asks for {settings.confidence:.1%}"
        sure = f"with a confidence of {compared.confidence:.1%} ({where})"
        yield f"test {settings.metric} is better {than} {sure}; {limit}"


def check_slices(
    settings: GateSettings, metric: Metric, truth: Array, slices: Slices, candidate: Answers, champion: Answers
) -> Iterator[str]:
    """The reasons against a candidate that loses too much where a column has one of its values."""
    tolerance = settings.slices.tolerance
    measured = measure_groups(settings, metric, truth, slices, candidate, champion)
    for column, value, rows, (ours, theirs) in measured:
        # A metric that no model has on these rows, such as the AUC of one class, says nothing.
        if math.isfinite(theirs) and not metric.gain(theirs, ours) <= tolerance:
            limit = f"gate.slices.tolerance of {_SETTINGS} allows a loss of {tolerance:g}"
            changes = f"test {settings.metric} goes from {theirs:.4f} to {ours:.4f}"
            yield f"where {column} is {value!r} ({rows} rows), {changes}; {limit}"


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
