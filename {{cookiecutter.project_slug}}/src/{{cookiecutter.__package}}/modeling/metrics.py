"""The metrics by name, for both tasks; one more entry in `METRICS` is one more metric.

Computed here because a bootstrap asks for them thousands of times, and most of what scikit-learn's functions
take on some hundred rows is checking; a test holds each against its own. Of two labels, `average_precision`,
`precision` and `recall` are those of the second one in config/schema.yaml; of more, the mean over all.
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
    both `confusion` takes rows by true label and label given, (labels, labels), and `ranking` a label's rows and the
    others by level of the label's probability, rising.
    """

    function: Callable[..., float]
    greater_is_better: bool = True
    sees: Literal["scores", "labels", "confusion", "ranking"] = "scores"

    @property
    def decided(self) -> bool:
        """Whether it judges the labels that the rows got."""
        return self.sees in ("labels", "confusion")

    def compute(self, truth: Array, scores: Array, weights: tuple[float, ...] = ()) -> float:
        """The metric of these rows; NaN if a score is no finite number."""
        return self.on_draws(truth, scores, weights)(np.arange(len(truth)))

    def on_draws(self, truth: Array, scores: Array, weights: tuple[float, ...] = ()) -> DrawFunction:
        """The metric as a function of which rows are drawn; what is the same for all draws is worked out once."""
        if not np.isfinite(scores).all():
            return lambda _: float("nan")
        if self.sees == "ranking":
            return self._rank(truth, scores)
        answers = choose_places(scores, weights) if self.decided else scores
        if self.sees == "confusion":
            return lambda rows: float(self.function(count_confusion(truth[rows], answers[rows], scores.shape[1])))
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


def _average_share(counts: Array, of: Array, present: Array) -> float:
    """The mean over the labels that are `present` of their rows that are right as a share `of` some number of rows."""
    return float(np.mean((counts.diagonal() / np.maximum(of, 1))[present > 0]))


def _share_right(counts: Array, of: Array) -> float:
    """That of the second of two labels, or the mean over those of several that a row has or got."""
    return _average_share(counts, of, np.array([0, 1]) if len(counts) == 2 else counts.sum(axis=0) + counts.sum(axis=1))


def _f1_macro(counts: Array) -> float:
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return 2 * _average_share(counts, both, both)


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
    # Of nothing there is no share: rows whose truth is 0 are left out, which scikit-learn's would count as 1e15.
    some = truth != 0
    return float(np.mean(np.abs(truth - values)[some] / np.abs(truth[some]))) if some.any() else float("nan")


METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "accuracy": Metric(lambda counts: counts.trace() / counts.sum(), sees="confusion"),
        "balanced_accuracy": Metric(
            lambda counts: _average_share(counts, counts.sum(axis=1), counts.sum(axis=1)), sees="confusion"
        ),
        "f1_macro": Metric(_f1_macro, sees="confusion"),
        "precision": Metric(lambda counts: _share_right(counts, counts.sum(axis=0)), sees="confusion"),
        "recall": Metric(lambda counts: _share_right(counts, counts.sum(axis=1)), sees="confusion"),
        "mcc": Metric(_mcc, sees="confusion"),
        "roc_auc": Metric(_roc_auc, sees="ranking"),
        "average_precision": Metric(_average_precision, sees="ranking"),
        "log_loss": Metric(_log_loss, greater_is_better=False),
        "brier": Metric(_brier, greater_is_better=False),
    },
    "regression": {
        "r2": Metric(_r2),
        "rmse": Metric(lambda truth, values: np.sqrt(np.mean((truth - values) ** 2)), greater_is_better=False),
        "mae": Metric(lambda truth, values: np.mean(np.abs(truth - values)), greater_is_better=False),
        "median_absolute_error": Metric(lambda truth, values: np.median(np.abs(truth - values)), False),
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
    return METRICS[schema.task] | {
        "cost": Metric(lambda counts: np.sum(counts * matrix) / counts.sum(), False, sees="confusion")
    }


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
