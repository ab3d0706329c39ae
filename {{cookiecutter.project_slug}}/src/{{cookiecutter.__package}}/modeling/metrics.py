"""The metrics by name, for both tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from ..errors import ProjectError
from ..schema import Task


@dataclass(frozen=True)
class Metric:
    """A number from the truth and the predictions, and which way is better.

    For a classification `compute` takes label codes, -1 for a label that the model never saw, and
    probabilities; for a regression two arrays of values.
    """

    compute: Callable[[NDArray[Any], NDArray[Any]], float]
    greater_is_better: bool = True

    def is_better(self, left: float, right: float) -> bool:
        """Whether `left` beats `right`; never if one of them is not a number."""
        return left > right if self.greater_is_better else left < right

    def reaches(self, value: float, limit: float) -> bool:
        """Whether `value` is as good as `limit` or better; never if it is not a number."""
        return value >= limit if self.greater_is_better else value <= limit


def _on_labels(function: Callable[..., float], **options: Any) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    def compute(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
        return float(function(truth, probabilities.argmax(axis=1), **options))

    return compute


def _log_loss(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    chosen = np.where(truth >= 0, probabilities[np.arange(len(truth)), truth], 0).astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-15, 1)).mean())


def _roc_auc(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    present = [code for code in range(probabilities.shape[1]) if 0 < np.count_nonzero(truth == code) < len(truth)]
    if not present:
        return float("nan")
    return float(np.mean([metrics.roc_auc_score(truth == code, probabilities[:, code]) for code in present]))


METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "accuracy": Metric(_on_labels(metrics.accuracy_score)),
        "balanced_accuracy": Metric(_on_labels(metrics.recall_score, average="macro", zero_division=0)),
        "f1_macro": Metric(_on_labels(metrics.f1_score, average="macro", zero_division=0)),
        "roc_auc": Metric(_roc_auc),
        "log_loss": Metric(_log_loss, greater_is_better=False),
    },
    "regression": {
        "r2": Metric(metrics.r2_score),
        "rmse": Metric(metrics.root_mean_squared_error, greater_is_better=False),
        "mae": Metric(metrics.mean_absolute_error, greater_is_better=False),
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
