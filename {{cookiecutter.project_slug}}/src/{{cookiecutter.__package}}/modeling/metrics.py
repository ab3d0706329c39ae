"""The metrics by name, for both tasks; one more entry in `METRICS` is one more metric.

Computed here because a bootstrap asks for them thousands of times, and most of what scikit-learn's functions
take on some hundred rows is checking; a test holds each against its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ProjectError
from ..schema import Task
from .model import choose_places


@dataclass(frozen=True)
class Metric:
    """A number from the truth and the predictions, and which way is better.

    For a classification `function` takes places of labels and probabilities, (rows, labels); for a regression
    two arrays of values. `prepare` is what it needs only once for all draws of a bootstrap.
    """

    function: Callable[[NDArray[Any], NDArray[Any]], float]
    greater_is_better: bool = True
    prepare: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray

    def compute(self, truth: NDArray[Any], scores: NDArray[Any]) -> float:
        """The metric of these rows; NaN if a score is no finite number."""
        return self.on_draws(truth, scores)(np.arange(len(truth)))

    def on_draws(self, truth: NDArray[Any], scores: NDArray[Any]) -> Callable[[NDArray[np.int64]], float]:
        """The metric as a function of which rows are drawn."""
        if not np.isfinite(scores).all():
            return lambda _: float("nan")
        prepared = self.prepare(scores)
        return lambda rows: float(self.function(truth[rows], prepared[rows]))

    def gain(self, left: float, right: float) -> float:
        """How much better `left` is than `right`, in the metric's unit, whichever way is better; NaN if one is."""
        return left - right if self.greater_is_better else right - left


def count_confusion(truth: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[np.int64]:
    """Rows by true label and likeliest label, (labels, labels)."""
    labels = probabilities.shape[1]
    return np.bincount(truth * labels + choose_places(probabilities), minlength=labels**2).reshape(labels, labels)


def _balanced_accuracy(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    counts = count_confusion(truth, probabilities)
    rows = counts.sum(axis=1)
    return float(np.mean(counts.diagonal()[rows > 0] / rows[rows > 0]))


def _f1_macro(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    counts = count_confusion(truth, probabilities)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2 * counts.diagonal()[both > 0] / both[both > 0]))


def _log_loss(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-15, 1)).mean())


def _rank(probabilities: NDArray[Any]) -> NDArray[np.int64]:
    """Each probability's place among those of its label: all of it that `_roc_auc` looks at."""
    return np.stack([np.unique(column, return_inverse=True)[1] for column in probabilities.T], axis=1)


def _roc_auc(truth: NDArray[Any], ranks: NDArray[np.int64]) -> float:
    """Each label against the rest (Hanley and McNeil, 1982), averaged over the labels."""
    areas = []
    levels = int(ranks.max()) + 1
    for label in range(ranks.shape[1]):
        places = 2 * ranks[:, label] + (truth == label)
        negatives, positives = np.bincount(places, minlength=2 * levels).reshape(levels, 2).T
        # A row of the label wins over each other row below it, and half over those that are level.
        wins = np.sum(positives * (np.cumsum(negatives) - negatives / 2))
        if pairs := int(positives.sum()) * int(negatives.sum()):
            areas.append(wins / pairs)
    return float(np.mean(areas)) if areas else float("nan")


def _r2(truth: NDArray[Any], values: NDArray[Any]) -> float:
    spread = np.sum((truth - np.mean(truth)) ** 2)
    return float(1 - np.sum((truth - values) ** 2) / spread) if spread else float("nan")


METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "accuracy": Metric(lambda truth, probabilities: np.mean(truth == choose_places(probabilities))),
        "balanced_accuracy": Metric(_balanced_accuracy),
        "f1_macro": Metric(_f1_macro),
        "roc_auc": Metric(_roc_auc, prepare=_rank),
        "log_loss": Metric(_log_loss, greater_is_better=False),
    },
    "regression": {
        "r2": Metric(_r2),
        "rmse": Metric(lambda truth, values: np.sqrt(np.mean((truth - values) ** 2)), greater_is_better=False),
        "mae": Metric(lambda truth, values: np.mean(np.abs(truth - values)), greater_is_better=False),
    },
}


def find_metric(task: Task, name: str) -> Metric:
    """The metric of that name. Raises ProjectError where the task has none."""
    if name not in METRICS[task]:
        raise ProjectError(f"config/model.yaml: gate.metric {name!r} is none of {', '.join(METRICS[task])}.")
    return METRICS[task][name]


def compute_metrics(task: Task, truth: NDArray[Any], scores: NDArray[Any]) -> dict[str, float]:
    """Each metric of the task by its name."""
    return {name: metric.compute(truth, scores) for name, metric in METRICS[task].items()}
