"""Each metric against scikit-learn's own, and what is no number."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from {{ cookiecutter.__package }}.config import GateSettings, ModelSettings
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, find_metric
from {{ cookiecutter.__package }}.schema import Schema, Task

Function = Callable[[NDArray[Any], NDArray[Any]], float]


def _ranked(function: Any, **options: Any) -> Function:
    def call(truth: NDArray[Any], scores: NDArray[Any]) -> float:
        return float(function(truth, scores if scores.shape[1] > 2 else scores[:, 1], **options))

    return call


def _judged(function: Any, **options: Any) -> Function:
    def call(truth: NDArray[Any], scores: NDArray[Any]) -> float:
        return float(function(truth, scores.argmax(axis=1), **options))

    return call


# Those that scikit-learn has, too; an owner's own need not be here.
COUNTERPARTS: dict[Task, dict[str, Function]] = {
    "classification": {
        "accuracy": _judged(metrics.accuracy_score),
        "balanced_accuracy": _judged(metrics.balanced_accuracy_score),
        "f1_macro": _judged(metrics.f1_score, average="macro"),
        "roc_auc": _ranked(metrics.roc_auc_score, multi_class="ovr"),
        "average_precision": _ranked(metrics.average_precision_score),
        "log_loss": metrics.log_loss,
    },
    "regression": {
        "r2": metrics.r2_score,
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
        "mape": metrics.mean_absolute_percentage_error,
    },
}


def _make_scores(task: Task, labels: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    generator = np.random.default_rng(labels)
    truth = generator.integers(0, labels, 300)
    if task == "regression":
        return truth + 1, truth + 1 + generator.normal(0, 5, 300)
    # Rounded, so that there are ties.
    probabilities = np.round(generator.dirichlet(np.ones(labels), 300) + 0.2 * np.eye(labels)[truth], 2)
    return truth, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, known in COUNTERPARTS.items() for name in known])
@pytest.mark.parametrize("labels", [2, 3, 7])
def test_a_metric_is_that_of_scikit_learn_and_best_if_all_is_right(task: Task, name: str, labels: int) -> None:
    (truth, scores), ours, theirs = _make_scores(task, labels), METRICS[task][name], COUNTERPARTS[task][name]
    assert ours.compute(truth, scores) == pytest.approx(theirs(truth, scores))
    drawn = np.random.default_rng(0).integers(0, 300, 300)
    assert ours.on_draws(truth, scores)(drawn) == pytest.approx(theirs(truth[drawn], scores[drawn]))
    perfect = np.eye(labels)[truth] if task == "classification" else truth
    assert ours.gain(ours.compute(truth, perfect), ours.compute(truth, scores)) > 0


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, known in METRICS.items() for name in known])
def test_scores_that_are_no_numbers_make_no_metric(task: Task, name: str) -> None:
    truth, scores = _make_scores(task, 3)
    scores[7] = np.nan
    assert np.isnan(METRICS[task][name].compute(truth, scores))


def test_a_label_that_does_not_occur_is_left_out() -> None:
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.9, 0], [0.3, 0.7, 0]])
    for name in ("balanced_accuracy", "roc_auc"):
        assert METRICS["classification"][name].compute(truth, probabilities) == 0.75


def test_a_metric_that_judges_labels_judges_the_decided_ones() -> None:
    truth, scores = _make_scores("classification", 2)
    accuracy, auc = METRICS["classification"]["accuracy"], METRICS["classification"]["roc_auc"]
    assert accuracy.compute(truth, scores, (0.01, 0.99)) == pytest.approx(np.mean(truth == (scores[:, 1] > 0.01)))
    assert auc.compute(truth, scores, (0.01, 0.99)) == auc.compute(truth, scores)


SCHEMA = Schema.model_validate(
    {
        "task": "classification",
        "target": "paid",
        "columns": {"paid": {"type": "category", "categories": ["no", "yes"]}, "age": {"type": "number"}},
    }
)


def test_a_metric_that_is_not_there_is_refused_with_those_there_are() -> None:
    settings = ModelSettings(estimator="logistic_regression", gate=GateSettings(metric="r2", minimum=0))
    with pytest.raises(ProjectError, match=r"gate.metric 'r2' is none of .*accuracy"):
        find_metric(SCHEMA, settings)
