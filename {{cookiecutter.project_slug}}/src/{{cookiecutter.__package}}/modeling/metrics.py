"""The metrics by name, for both tasks.

They are computed here because a bootstrap asks for them thousands of times, and most of what
scikit-learn's functions take on some hundred rows is checking; a test holds each against its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..errors import ProjectError
from ..schema import Task


@dataclass(frozen=True)
class Metric:
    """A number from the truth and the predictions, and which way is better.

    For a classification `function` takes places of labels and probabilities; for a regression two
    arrays of values.
    """

    function: Callable[[NDArray[Any], NDArray[Any]], float]
    greater_is_better: bool = True

    def compute(self, truth: NDArray[Any], scores: NDArray[Any]) -> float:
        """The metric of these rows; NaN if a score is no finite number."""
        return self.function(truth, scores) if np.isfinite(scores).all() else float("nan")

    def is_better(self, left: float, right: float) -> bool:
        """Whether `left` beats `right`; never if one of them is not a number."""
        return left > right if self.greater_is_better else left < right

    def reaches(self, value: float, limit: float) -> bool:
        """Whether `value` is as good as `limit` or better; never if it is not a number."""
        return value >= limit if self.greater_is_better else value <= limit


def _count_labels(truth: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[np.int64]:
    labels = probabilities.shape[1]
    counts = np.bincount(truth * labels + probabilities.argmax(axis=1), minlength=labels * labels)
    return counts.reshape(labels, labels)


def _accuracy(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    return float(np.mean(truth == probabilities.argmax(axis=1)))


def _balanced_accuracy(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    counts = _count_labels(truth, probabilities)
    rows = counts.sum(axis=1)
    present = rows > 0
    return float(np.mean(counts.diagonal()[present] / rows[present]))


def _f1_macro(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    counts = _count_labels(truth, probabilities)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    present = both > 0
    return float(np.mean(2 * counts.diagonal()[present] / both[present]))


def _log_loss(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-15, 1)).mean())


def _roc_auc(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Each label against the rest, by ranks (Hanley and McNeil, 1982), averaged over the labels."""
    is_label = truth[:, np.newaxis] == np.arange(probabilities.shape[1])
    positives = is_label.sum(axis=0)
    negatives = len(truth) - positives
    present = (positives > 0) & (negatives > 0)
    if not present.any():
        return float("nan")
    ranks = rankdata(probabilities[:, present], axis=0)
    positives, negatives = positives[present], negatives[present]
    wins = (ranks * is_label[:, present]).sum(axis=0) - positives * (positives + 1) / 2
    return float(np.mean(wins / (positives * negatives)))


def _r2(truth: NDArray[Any], values: NDArray[Any]) -> float:
    spread = float(np.sum((truth - np.mean(truth)) ** 2))
    return 1 - float(np.sum((truth - values) ** 2)) / spread if spread else float("nan")


def _rmse(truth: NDArray[Any], values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean((truth - values) ** 2)))


def _mae(truth: NDArray[Any], values: NDArray[Any]) -> float:
    return float(np.mean(np.abs(truth - values)))


METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "accuracy": Metric(_accuracy),
        "balanced_accuracy": Metric(_balanced_accuracy),
        "f1_macro": Metric(_f1_macro),
        "roc_auc": Metric(_roc_auc),
        "log_loss": Metric(_log_loss, greater_is_better=False),
    },
    "regression": {
        "r2": Metric(_r2),
        "rmse": Metric(_rmse, greater_is_better=False),
        "mae": Metric(_mae, greater_is_better=False),
    },
}


def find_metric(task: Task, name: str) -> Metric:
    """The metric of that name.

    Raises:
        ProjectError: the task has none of that name.
    """
    known = METRICS[task]
    if name not in known:
        raise ProjectError(f"config/model.yaml: gate.metric {name!r} is none of {', '.join(known)}.")
    return known[name]


def compute_metrics(task: Task, truth: NDArray[Any], scores: NDArray[Any]) -> dict[str, float]:
    """Each metric of the task by its name."""
    return {name: float(metric.compute(truth, scores)) for name, metric in METRICS[task].items()}
