"""The metrics by name, for both tasks; one more entry in `METRICS` is one more metric.

Computed here because a bootstrap asks for them thousands of times, and most of what scikit-learn's functions
take on some hundred rows is checking; a test holds each against its own. Of two labels, `average_precision`,
`precision` and `recall` are those of the second one in config/schema.yaml; of more, the mean over all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

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

    For a classification `function` takes places of labels and probabilities, (rows, labels), or, where it judges what
    was `decided`, the places of the labels that the rows got; for a regression two arrays of values.
    """

    function: Callable[..., float]
    greater_is_better: bool = True
    decided: bool = False

    def compute(self, truth: Array, scores: Array, weights: tuple[float, ...] = ()) -> float:
        """The metric of these rows; NaN if a score is no finite number."""
        return self.on_draws(truth, scores, weights)(np.arange(len(truth)))

    def on_draws(self, truth: Array, scores: Array, weights: tuple[float, ...] = ()) -> DrawFunction:
        """The metric as a function of which rows are drawn; what is the same for all draws is worked out once."""
        if not np.isfinite(scores).all():
            return lambda _: float("nan")
        return self._prepare(truth, scores, weights)

    def gain(self, left: float, right: float) -> float:
        """How much better `left` is than `right`, in the metric's unit, whichever way is better; NaN if one is."""
        return left - right if self.greater_is_better else right - left

    def _prepare(self, truth: Array, scores: Array, weights: tuple[float, ...], /) -> DrawFunction:
        answers = choose_places(scores, weights) if self.decided else scores
        return lambda rows: float(self.function(truth[rows], answers[rows]))


@dataclass(frozen=True)
class ConfusionMetric(Metric):
    """One whose function takes rows by true label and label given, (labels, labels)."""

    decided: bool = True

    def _prepare(self, truth: Array, scores: Array, weights: tuple[float, ...], /) -> DrawFunction:
        places, labels = choose_places(scores, weights), scores.shape[1]
        return lambda rows: float(self.function(count_confusion(truth[rows], places[rows], labels)))


class RankingMetric(Metric):
    """One whose function takes a label's rows and the others by level of the label's probability, rising."""

    def _prepare(self, truth: Array, scores: Array, _: tuple[float, ...], /) -> DrawFunction:
        labels = [1] if scores.shape[1] == 2 else range(scores.shape[1])
        levels = {label: np.unique(scores[:, label], return_inverse=True)[1] for label in labels}
        # Sorted once: a draw only counts the rows at each level, and so takes time in proportion to them.
        keys = [2 * level + (truth == label) for label, level in levels.items()]

        def measure(rows: NDArray[np.int64]) -> float:
            counts = [np.bincount(key[rows], minlength=2 * len(truth)).reshape(-1, 2).T for key in keys]
            found = [self.function(label, rest) for rest, label in counts if label.any() and rest.any()]
            return float(np.mean(found)) if found else float("nan")

        return measure


def count_confusion(truth: Array, places: Array, labels: int) -> NDArray[np.int64]:
    """Rows by true label and label given, (labels, labels)."""
    return np.bincount(truth * labels + places, minlength=labels**2).reshape(labels, labels)


def _average(counts: Array, of: Array, present: Array) -> float:
    """The mean over the labels that are `present` of their rows that are right as a share `of` some number of rows."""
    return float(np.mean((counts.diagonal() / np.maximum(of, 1))[present > 0]))


def _f1_macro(counts: Array) -> float:
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return 2 * _average(counts, both, both)


def _share_right(counts: Array, axis: int) -> float:
    """The share that is right of the rows that got a label (axis 0) or have it (axis 1)."""
    present = np.array([0, 1]) if len(counts) == 2 else counts.sum(axis=0) + counts.sum(axis=1)
    return _average(counts, counts.sum(axis=axis), present)


def _mcc(counts: Array) -> float:
    """Gorodkin (2004), Comparing two K-category assignments by a K-category correlation coefficient."""
    rows, true, given = float(counts.sum()), counts.sum(axis=1).astype(float), counts.sum(axis=0).astype(float)
    spread = np.sqrt((rows**2 - true @ true) * (rows**2 - given @ given))
    return float((counts.trace() * rows - true @ given) / spread) if spread else 0.0


def _log_loss(truth: Array, probabilities: Array) -> float:
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-15, 1)).mean())


def _brier(truth: Array, probabilities: Array) -> float:
    """The mean over rows of the squared errors' sum over labels; of two labels half of it, that of the second."""
    squares = np.sum((np.eye(probabilities.shape[1])[truth] - probabilities) ** 2, axis=1)
    return float(np.mean(squares) / (2 if probabilities.shape[1] == 2 else 1))


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
    return float(np.mean(np.abs(truth - values) / np.maximum(np.abs(truth), np.finfo(np.float64).eps)))


METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "accuracy": ConfusionMetric(lambda counts: counts.trace() / counts.sum()),
        "balanced_accuracy": ConfusionMetric(lambda counts: _average(counts, counts.sum(axis=1), counts.sum(axis=1))),
        "f1_macro": ConfusionMetric(_f1_macro),
        "precision": ConfusionMetric(lambda counts: _share_right(counts, axis=0)),
        "recall": ConfusionMetric(lambda counts: _share_right(counts, axis=1)),
        "mcc": ConfusionMetric(_mcc),
        "roc_auc": RankingMetric(_roc_auc),
        "average_precision": RankingMetric(_average_precision),
        "log_loss": Metric(_log_loss, greater_is_better=False),
        "brier": Metric(_brier, greater_is_better=False),
    },
    "regression": {
        "r2": Metric(_r2),
        "rmse": Metric(lambda truth, values: np.sqrt(np.mean((truth - values) ** 2)), greater_is_better=False),
        "mae": Metric(lambda truth, values: np.mean(np.abs(truth - values)), greater_is_better=False),
        "median_absolute_error": Metric(
            lambda truth, values: np.median(np.abs(truth - values)), greater_is_better=False
        ),
        "mape": Metric(_mape, greater_is_better=False),
    },
}


def list_metrics(schema: Schema, settings: ModelSettings) -> dict[str, Metric]:
    """The metrics of the task by name, `cost` among them where `decision.costs` says what an answer costs.

    Raises ProjectError where it has costs of what is no label.
    """
    costs, labels = settings.decision.costs, schema.labels
    if not costs:
        return METRICS[schema.task]
    named = dict.fromkeys([*costs, *(label for each in costs.values() for label in each)])
    if unknown := [repr(name) for name in named if name not in labels]:
        raise ProjectError(
            f"config/model.yaml: decision.costs has {', '.join(unknown)}, which is no label of {schema.target}; "
            f"there are {', '.join(map(repr, labels)) or 'none'}."
        )
    matrix = np.array([[costs.get(true, {}).get(given, 0.0) for given in labels] for true in labels])

    cost = ConfusionMetric(lambda counts: np.sum(counts * matrix) / counts.sum(), greater_is_better=False)
    return METRICS[schema.task] | {"cost": cost}


def find_metric(schema: Schema, settings: ModelSettings, setting: str = "gate.metric") -> Metric:
    """The metric that `gate.metric` or `decision.best_for` names. Raises ProjectError where the task has none such."""
    name = settings.gate.metric if setting == "gate.metric" else settings.decision.best_for
    known = list_metrics(schema, settings)
    if name not in known:
        remedy = "; decision.costs would make one" if name == "cost" else ""
        raise ProjectError(f"config/model.yaml: {setting} {name!r} is none of {', '.join(known)}{remedy}.")
    return known[name]


def compute_metrics(schema: Schema, settings: ModelSettings, truth: Array, answers: Answers) -> dict[str, float]:
    """Each metric of the task by its name."""
    return {name: metric.compute(truth, *answers) for name, metric in list_metrics(schema, settings).items()}
