"""Each metric against scikit-learn's own, and what is no number."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, find_metric
from {{ cookiecutter.__package }}.schema import Task

# Those that scikit-learn has, too; an owner's own need not be here.
COUNTERPARTS: dict[Task, dict[str, Callable[[NDArray[Any], NDArray[Any]], float]]] = {
    "classification": {
        "accuracy": lambda truth, scores: metrics.accuracy_score(truth, scores.argmax(axis=1)),
        "balanced_accuracy": lambda truth, scores: metrics.balanced_accuracy_score(truth, scores.argmax(axis=1)),
        "f1_macro": lambda truth, scores: metrics.f1_score(truth, scores.argmax(axis=1), average="macro"),
        "roc_auc": lambda truth, scores: metrics.roc_auc_score(
            truth, scores if scores.shape[1] > 2 else scores[:, 1], multi_class="ovr"
        ),
        "log_loss": metrics.log_loss,
    },
    "regression": {
        "r2": metrics.r2_score,
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
    },
}


def _make_scores(task: Task, labels: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    generator = np.random.default_rng(labels)
    truth = generator.integers(0, labels, 300)
    if task == "regression":
        return truth, truth + generator.normal(0, 5, 300)
    # Rounded, so that there are ties.
    probabilities = np.round(generator.dirichlet(np.ones(labels), 300) + 0.2 * np.eye(labels)[truth], 2)
    return truth, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, known in COUNTERPARTS.items() for name in known])
@pytest.mark.parametrize("labels", [2, 3, 7])
def test_a_metric_is_that_of_scikit_learn_and_best_if_all_is_right(task: Task, name: str, labels: int) -> None:
    (truth, scores), ours, theirs = _make_scores(task, labels), find_metric(task, name), COUNTERPARTS[task][name]
    assert ours.compute(truth, scores) == pytest.approx(theirs(truth, scores))
    drawn = np.random.default_rng(0).integers(0, 300, 300)
    assert ours.on_draws(truth, scores)(drawn) == pytest.approx(theirs(truth[drawn], scores[drawn]))
    perfect = np.eye(labels)[truth] if task == "classification" else truth
    assert ours.gain(ours.compute(truth, perfect), ours.compute(truth, scores)) > 0


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, known in METRICS.items() for name in known])
def test_scores_that_are_no_numbers_make_no_metric(task: Task, name: str) -> None:
    truth, scores = _make_scores(task, 3)
    scores[7] = np.nan
    assert np.isnan(find_metric(task, name).compute(truth, scores))


def test_a_label_that_does_not_occur_is_left_out() -> None:
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.9, 0], [0.3, 0.7, 0]])
    for name in ("balanced_accuracy", "roc_auc"):
        assert find_metric("classification", name).compute(truth, probabilities) == 0.75


def test_a_metric_of_the_other_task_is_refused_with_those_there_are() -> None:
    with pytest.raises(ProjectError, match=r"gate.metric 'r2' is none of .*accuracy"):
        find_metric("classification", "r2")
