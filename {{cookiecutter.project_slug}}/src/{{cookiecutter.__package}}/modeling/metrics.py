"""The metrics by name, for both tasks; one more entry in `METRICS` is one more metric.

Computed here because a bootstrap asks for them thousands of times, and most of what scikit-learn's functions
take on some hundred rows is checking; a test holds each against its own. Of two labels, `average_precision` is that of
the second one in config/schema.yaml; of more, the mean over all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config import ModelSettings
from ..errors import ProjectError
from ..schema import Schema, Task
from .model import choose_places

Array = NDArray[Any]
DrawFunction = Callable[[NDArray[np.int64]], float]


class Answers(NamedTuple):
    """What a model says of some rows: its scores, and the weights by which it chooses among labels."""

    scores: Array
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Metric:
    """A number from the truth and the answers, and which way is better.

    Its `function` takes the truth and what it `sees`: for a regression both are arrays of values, for a classification
    the places of labels and the `scores`, (rows, labels), or the places of the `labels` that the rows got. In place of
    both, `ranking` is a label's rows and the others by level of the label's probability, rising.
    """

    function: Callable[..., float]
    greater_is_better: bool = True
    sees: Literal["scores", "labels", "ranking"] = "scores"

    def compute(self, truth: Array, scores: Array, weights: tuple[float, ...] = ()) -> float:
        """The metric of these rows; NaN if a score is no finite number."""
        return self.on_draws(truth, scores, weights)(np.arange(len(truth)))

    def on_draws(self, truth: Array, scores: Array, weights: tuple[float, ...] = ()) -> DrawFunction:
        """The metric as a function of which rows are drawn; what is the same for all draws is worked out once."""
        if not np.isfinite(scores).all():
            return lambda _: float("nan")
        if self.sees == "ranking":
            return self._rank(truth, scores)
        answers = choose_places(scores, weights) if self.sees == "labels" else scores
        return lambda rows: float(self.function(truth[rows], answers[rows]))

    def gain(self, left: float, right: float) -> float:
        """How much better `left` is than `right`, in the metric's unit, whichever way is better; NaN if one is."""
        return left - right if self.greater_is_better else right - left

    def _rank(self, truth: Array, scores: Array) -> DrawFunction:
        """Of two labels the metric of the second one, of more the mean over those that are drawn."""
        levels = [np.unique(column, return_inverse=True)[1] for column in scores.T]
        # Sorted once: a draw only counts the rows at each level, and so takes time in proportion to them.
        keys = [2 * level + (truth == label) for label, level in enumerate(levels)][1 if len(levels) == 2 else 0 :]

        def measure(rows: NDArray[np.int64]) -> float:
            counts = [np.bincount(key[rows], minlength=2 * len(truth)).reshape(-1, 2).T for key in keys]
            found = [self.function(label, rest) for rest, label in counts if label.any() and rest.any()]
            return float(np.mean(found)) if found else float("nan")

        return measure


def count_confusion(truth: Array, places: Array, labels: int) -> NDArray[np.int64]:
    """Rows by true label and label given, (labels, labels)."""
    return np.bincount(truth * labels + places, minlength=labels**2).reshape(labels, labels)


def _balanced_accuracy(truth: Array, places: Array) -> float:
    rows = np.bincount(truth)
    right = np.bincount(truth[truth == places], minlength=len(rows))
    return float(np.mean(right[rows > 0] / rows[rows > 0]))


def _f1_macro(truth: Array, places: Array) -> float:
    labels = int(max(truth.max(), places.max())) + 1
    right = np.bincount(truth[truth == places], minlength=labels)
    either = np.bincount(truth, minlength=labels) + np.bincount(places, minlength=labels)
    return float(np.mean(2 * right[either > 0] / either[either > 0]))


def _log_loss(truth: Array, probabilities: Array) -> float:
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-15, 1)).mean())


def _roc_auc(label: Array, rest: Array) -> float:
    """Each label against the rest (Hanley and McNeil, 1982), averaged over the labels."""
    # A row of the label wins over each other row below it, and half over those that are level.
    return float(label @ (np.cumsum(rest) - rest / 2) / (label.sum() * rest.sum()))


def _average_precision(label: Array, rest: Array) -> float:
    """The precision at each level and above, averaged over the label's rows."""
    right, above = np.cumsum(label[::-1]), np.cumsum((label + rest)[::-1])
    return float(label[::-1] @ (right / np.maximum(above, 1)) / right[-1])


def _r2(truth: Array, values: Array) -> float:
    spread = np.sum((truth - np.mean(truth)) ** 2)
    return float(1 - np.sum((truth - values) ** 2) / spread) if spread else float("nan")


def _mape(truth: Array, values: Array) -> float:
    # Of nothing there is no share: rows whose truth is 0 are left out, which scikit-learn's would count as 1e15.
    some = truth != 0
    return float(np.mean(np.abs(truth - values)[some] / np.abs(truth[some]))) if some.any() else float("nan")


METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "accuracy": Metric(lambda truth, places: np.mean(truth == places), sees="labels"),
        "balanced_accuracy": Metric(_balanced_accuracy, sees="labels"),
        "f1_macro": Metric(_f1_macro, sees="labels"),
        "roc_auc": Metric(_roc_auc, sees="ranking"),
        "average_precision": Metric(_average_precision, sees="ranking"),
        "log_loss": Metric(_log_loss, greater_is_better=False),
    },
    "regression": {
        "r2": Metric(_r2),
        "rmse": Metric(lambda truth, values: np.sqrt(np.mean((truth - values) ** 2)), greater_is_better=False),
        "mae": Metric(lambda truth, values: np.mean(np.abs(truth - values)), greater_is_better=False),
        "mape": Metric(_mape, greater_is_better=False),
    },
}


def find_metric(schema: Schema, settings: ModelSettings) -> Metric:
    """The metric that `gate.metric` names. Raises ProjectError where the task has none such."""
    known, name = METRICS[schema.task], settings.gate.metric
    if name not in known:
        raise ProjectError(f"config/model.yaml: gate.metric {name!r} is none of {', '.join(known)}.")
    return known[name]


def compute_metrics(task: Task, truth: Array, answers: Answers) -> dict[str, float]:
    """Each metric of the task by its name."""
    return {name: metric.compute(truth, *answers) for name, metric in METRICS[task].items()}
