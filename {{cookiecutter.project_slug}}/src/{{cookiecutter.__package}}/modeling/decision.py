"""The decision: by which weights of the labels a row's probabilities become its label.

For two labels these are a threshold: t for the second one is the weights (t, 1 - t). For several they are found one at
a time, until none gains (Lachiche and Flach, Improving accuracy and cost of two-class and multi-class probabilistic
classifiers using ROC curves, 2003).
"""

import numpy as np

from ..config import ModelSettings
from ..errors import ProjectError
from ..schema import Schema
from .dataset import align_scores
from .metrics import Array, Metric, find_metric, list_metrics

_ROUNDS = 10
_MOST_STEPS = 1000
# Weights that lose no more than this share of what the best one gains are as good: the middle one is steadier.
_LEVEL = 0.05


def choose_weights(
    settings: ModelSettings, schema: Schema, labels: tuple[str, ...], truth: Array, scores: Array
) -> tuple[float, ...]:
    """The weight of each of `labels` that is best for `decision.best_for`; none where the likeliest label is wanted.

    `truth` has places in the schema's labels; `scores`, (rows, labels of the schema), should be of rows that the model
    was not fitted on. The weights sum to 1. Raises ProjectError where the metric does not judge labels.
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
    known, weights = np.flatnonzero(scores.max(axis=0) > 0), np.ones(len(schema.labels))
    for _ in range(_ROUNDS):
        before = weights.copy()
        for label in known[1:] if len(known) == 2 else known:  # of two, only the relation counts
            weights[label] = _improve_weight(metric, truth, scores, weights, label)
        if np.array_equal(weights, before):
            break
    weights = align_scores(weights, schema.labels, labels)
    return tuple((weights / weights.sum()).tolist())


def _improve_weight(metric: Metric, truth: Array, scores: Array, weights: Array, label: int) -> float:
    """The best weight for one label, those of the others given; the present one where none is better."""
    own, others = scores[:, label], np.delete(scores * weights, label, axis=1).max(axis=1)
    # A row gets the label once its weight is above this.
    needed = np.divide(others, own, out=np.full(len(own), np.inf), where=own > 0)
    # Of many rows those that have the label will do: to stop short of one, or right after it, is best.
    steps = np.unique(needed[np.isfinite(needed) & ((truth == label) | (len(needed) <= _MOST_STEPS))])
    steps = steps[np.linspace(0, len(steps) - 1, min(len(steps), _MOST_STEPS)).round().astype(int)]
    if not len(steps):
        return float(weights[label])
    tried = np.concatenate([steps[:1] / 2, (steps[1:] + steps[:-1]) / 2, steps[-1:] * 2])

    def measure(weight: float) -> float:
        changed = np.where(np.arange(len(weights)) == label, weight, weights)
        return metric.compute(truth, scores, tuple(changed.tolist()))

    now = measure(weights[label])
    gains = np.nan_to_num([metric.gain(measure(weight), now) for weight in tried])
    as_good = tried[gains >= (1 - _LEVEL) * gains.max()] if gains.max() > 0 else weights[label : label + 1]
    return float(as_good[len(as_good) // 2])
