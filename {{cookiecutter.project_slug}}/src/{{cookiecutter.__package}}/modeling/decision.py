"""The decision: by which threshold the probability of the second of two labels becomes a label.

A threshold t is kept as the weights (t, 1 - t): a row gets the label whose probability times its weight is largest.
"""

import numpy as np

from ..config import ModelSettings
from ..errors import ProjectError
from ..schema import Schema
from .metrics import METRICS, Array, Metric

_MOST_STEPS = 1000
# Thresholds that lose no more than this share of what the best one gains are as good: the middle one is steadier.
_LEVEL = 0.05


def find_decider(schema: Schema, settings: ModelSettings) -> Metric | None:
    """The metric that `decision.best_for` names, if it does. Raises ProjectError where no threshold is best for it."""
    name = settings.decision.best_for
    judging = [known for known, metric in METRICS[schema.task].items() if metric.sees == "labels"]
    if name and (len(schema.labels) != 2 or name not in judging):
        raise ProjectError(
            f"config/model.yaml: decision.best_for {name!r} finds no threshold: that is between two labels, for a "
            f"metric that judges them ({', '.join(judging) or 'none for a regression'}); leave it empty."
        )
    return METRICS[schema.task][name] if name else None


def choose_weights(schema: Schema, settings: ModelSettings, truth: Array, scores: Array) -> tuple[float, ...]:
    """The weights of the two labels that are best for `decision.best_for`; none where the likeliest label is wanted.

    `truth` has places in the schema's labels; `scores`, (rows, labels), should be of rows that the model was not
    fitted on.
    """
    metric = find_decider(schema, settings)
    if metric is None:
        return ()
    levels = np.unique(scores[:, 1])
    levels = levels[np.linspace(0, len(levels) - 1, min(len(levels), _MOST_STEPS)).round().astype(int)]
    thresholds = [0.5, *((levels[1:] + levels[:-1]) / 2).tolist()]
    values = [metric.compute(truth, scores, (each, 1 - each)) for each in thresholds]
    gains = np.nan_to_num([metric.gain(value, values[0]) for value in values])
    good = [each for each, gain in zip(thresholds, gains, strict=True) if 0 < gain >= (1 - _LEVEL) * gains.max()]
    threshold = good[len(good) // 2] if good else 0.5
    return threshold, 1 - threshold
