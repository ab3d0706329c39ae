"""The decision: by which weights of the labels a row's probabilities become its label.

A row gets the label whose probability times its weight is largest; of two labels, a threshold t is the weights
(t, 1 - t). They are found one at a time, until none gains (Lachiche and Flach, Improving accuracy and cost of two-class
and multi-class probabilistic classifiers using ROC curves, 2003).
"""

import numpy as np

from ..config import ModelSettings
from ..errors import ProjectError
from ..schema import Schema
from .dataset import align_scores
from .metrics import METRICS, Array, Metric

_ROUNDS, _STEPS = 5, 200
# Weights that lose no more than this share of what the best one gains are as good: the middle one is steadier.
_LEVEL = 0.05


def find_decider(schema: Schema, settings: ModelSettings) -> Metric | None:
    """The metric that `decision.best_for` names, if it does. Raises ProjectError where that judges no labels."""
    name = settings.decision.best_for
    judging = [known for known, metric in METRICS[schema.task].items() if metric.sees == "labels"]
    if name and name not in judging:
        known = f"name one of {', '.join(judging)}, or leave" if judging else "leave"
        raise ProjectError(f"config/model.yaml: decision.best_for {name!r} judges no labels; {known} it empty.")
    return METRICS[schema.task][name] if name else None


def choose_weights(
    schema: Schema, settings: ModelSettings, labels: tuple[str, ...], truth: Array, scores: Array
) -> tuple[float, ...]:
    """The weight of each of `labels` that is best for `decision.best_for`; none where the likeliest label is wanted.

    `truth` has places in the schema's labels; `scores`, (rows, labels of the schema), should be of rows that the model
    was not fitted on. The weights sum to 1.
    """
    metric, weights = find_decider(schema, settings), np.ones(len(schema.labels))
    if metric is None:
        return ()
    for _ in range(_ROUNDS):
        before = weights.copy()
        for label in range(1, len(weights)):  # only relations count, so that the first may stay
            weights[label] = _improve_weight(metric, truth, scores, weights, label)
        if np.array_equal(weights, before):
            break
    weights = align_scores(weights, schema.labels, labels)
    return tuple((weights / weights.sum()).tolist())


def _improve_weight(metric: Metric, truth: Array, scores: Array, weights: Array, label: int) -> float:
    """The best weight for one label, those of the others given; the present one where none is better."""
    own, others = scores[:, label], np.delete(scores * weights, label, axis=1).max(axis=1)
    # A row gets the label once its weight is above this.
    needed = np.unique((others[own > 0] / own[own > 0])[truth[own > 0] == label])
    steps = needed[np.linspace(0, len(needed) - 1, min(len(needed), _STEPS)).round().astype(int)]
    tried = [weights[label], *((steps[1:] + steps[:-1]) / 2)]
    changed = [np.where(np.arange(len(weights)) == label, weight, weights) for weight in tried]
    values = [metric.compute(truth, scores, tuple(each.tolist())) for each in changed]
    gains = np.nan_to_num([metric.gain(value, values[0]) for value in values])
    good = [weight for weight, gain in zip(tried, gains, strict=True) if 0 < gain >= (1 - _LEVEL) * gains.max()]
    return float(sorted(good)[len(good) // 2] if good else weights[label])
