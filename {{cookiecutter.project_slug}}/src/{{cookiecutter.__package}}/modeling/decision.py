"""The decision: by which weights of the labels a row's probabilities become its label.

For two labels these are a threshold: t for the second one is the weights (t, 1 - t). For several they are found one at
a time, until none gains (Lachiche and Flach, Improving accuracy and cost of two-class and multi-class probabilistic
classifiers using ROC curves, 2003).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import ModelSettings
from ..errors import ProjectError
from ..schema import Schema
from .metrics import Array, ConfusionMetric, Metric, count_confusion, find_metric, list_metrics
from .model import choose_places

_ROUNDS = 10
# How many weights are tried at once: all that differ, unless the numbers to hold for that, or to compute, are many.
_MOST_CELLS, _MOST_CALLS = 4_000_000, 200
# Weights that lose no more than this share of what the best one gains are as good: the middle one is steadier.
_LEVEL = 0.05


def choose_weights(
    settings: ModelSettings, schema: Schema, labels: tuple[str, ...], truth: Array, probabilities: Array
) -> tuple[float, ...]:
    """The weight of each of `labels` that is best for `decision.best_for`; none where the likeliest label is wanted.

    `truth` has places in the schema's labels, `probabilities`, (rows, labels), should be of rows that the model was
    not fitted on. The weights sum to 1. Raises ProjectError where the metric does not judge labels.
    """
    if not settings.decision.best_for:
        return ()
    metric = find_metric(schema, settings, "decision.best_for")
    if not metric.decided:
        judging = [name for name, each in list_metrics(schema, settings).items() if each.decided]
        raise ProjectError(
            f"config/model.yaml: decision.best_for {settings.decision.best_for!r} judges no labels; name "
            f"{'one of ' + ', '.join(judging) if judging else 'none for a regression'}, or leave it empty."
        )
    scores = np.zeros((len(truth), len(schema.labels)))
    known = [schema.labels.index(label) for label in labels]
    scores[:, known] = probabilities
    weights = np.ones(len(schema.labels))
    for _ in range(_ROUNDS):
        before = weights.copy()
        for label in known[1:] if len(known) == 2 else known:  # of two, only the relation counts
            weights[label] = _improve_weight(metric, truth, scores, weights, label)
        if np.array_equal(weights, before):
            break
    return tuple((weights[known] / weights[known].sum()).tolist())


def _improve_weight(metric: Metric, truth: Array, scores: Array, weights: Array, label: int) -> float:
    """The best weight for one label, those of the others given; the present one where none is better."""
    others = scores * weights
    others[:, label] = -1
    places, own = choose_places(others), scores[:, label]
    # A row gets the label once its weight is above this.
    needed = np.divide(others.max(axis=1), own, out=np.full(len(own), np.inf), where=own > 0)
    steps = np.unique(needed[np.isfinite(needed)])
    if not len(steps):
        return float(weights[label])
    tried = np.concatenate([steps[:1] / 2, (steps[1:] + steps[:-1]) / 2, steps[-1:] * 2])
    most = _MOST_CELLS // scores.shape[1] ** 2 if isinstance(metric, ConfusionMetric) else _MOST_CALLS
    tried = tried[np.unique(np.linspace(0, len(tried) - 1, most).round().astype(int))]
    values = _measure_weights(metric, truth, places, label, needed, np.append(tried, weights[label]), scores.shape[1])
    gains = np.array([metric.gain(value, values[-1]) for value in values[:-1]])
    best = np.nanmax(gains, initial=0)
    as_good = tried[gains >= (1 - _LEVEL) * best] if best > 0 else weights[label : label + 1]
    return float(as_good[len(as_good) // 2])


def _measure_weights(
    metric: Metric, truth: Array, places: Array, label: int, needed: Array, tried: Array, labels: int
) -> NDArray[Any]:
    """The metric by the weight of one label: rows whose `needed` weight is below it get it, the others `places`."""
    if not isinstance(metric, ConfusionMetric):
        return np.array([metric.function(truth, np.where(needed < weight, label, places)) for weight in tried])
    # All at once: how the counts change from weight to weight, summed up.
    order = np.argsort(tried, kind="stable")
    change = np.zeros((len(tried) + 1, labels**2), dtype=np.int64)
    step = np.searchsorted(tried[order], needed, side="right")
    np.add.at(change, (step, truth * labels + label), 1)
    np.add.at(change, (step, truth * labels + places), -1)
    counts = count_confusion(truth, places, labels) + change.cumsum(axis=0)[:-1].reshape(-1, labels, labels)
    values = np.empty(len(tried))
    values[order] = metric.function(counts)
    return values
