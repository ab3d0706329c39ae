"""Each metric against scikit-learn's own, and what is no number."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, Metric, find_metric

LABELS = METRICS["classification"]
VALUES = METRICS["regression"]


def _make_probabilities(rows: int, labels: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, labels, rows)
    # Rounded, so that there are ties.
    probabilities = np.round(generator.dirichlet(np.ones(labels), rows) + np.eye(labels)[truth], 2)
    return truth, probabilities / probabilities.sum(axis=1, keepdims=True)


def _only(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities


# Those of them that scikit-learn has, too; an owner's own need not be here.
COUNTERPARTS: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {
    "accuracy": lambda truth, scores: metrics.accuracy_score(truth, scores.argmax(axis=1)),
    "balanced_accuracy": lambda truth, scores: metrics.balanced_accuracy_score(truth, scores.argmax(axis=1)),
    "f1_macro": lambda truth, scores: metrics.f1_score(truth, scores.argmax(axis=1), average="macro"),
    "roc_auc": lambda truth, scores: metrics.roc_auc_score(truth, _only(scores), multi_class="ovr"),
    "log_loss": metrics.log_loss,
    "r2": metrics.r2_score,
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
}


@pytest.mark.parametrize("name", [name for name in LABELS if name in COUNTERPARTS])
@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("seed", range(3))
def test_a_metric_of_labels_is_that_of_scikit_learn(name: str, labels: int, seed: int) -> None:
    truth, probabilities = _make_probabilities(300, labels, seed)
    assert LABELS[name].compute(truth, probabilities) == pytest.approx(COUNTERPARTS[name](truth, probabilities))
    drawn = np.random.default_rng(seed).integers(0, 300, 300)
    expected = COUNTERPARTS[name](truth[drawn], probabilities[drawn])
    assert LABELS[name].on_draws(truth, probabilities)(drawn) == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name in VALUES if name in COUNTERPARTS])
def test_a_metric_of_values_is_that_of_scikit_learn(name: str) -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(100, 20, 300)
    values = truth + generator.normal(0, 5, 300)
    assert VALUES[name].compute(truth, values) == pytest.approx(COUNTERPARTS[name](truth, values))


@pytest.mark.parametrize(
    ("known", "name"), [*((LABELS, name) for name in LABELS), *((VALUES, name) for name in VALUES)]
)
def test_scores_that_are_no_numbers_make_no_good_metric(known: dict[str, Metric], name: str) -> None:
    truth, scores = _make_probabilities(50, 3, 0)
    if known is VALUES:
        scores = (truth + 0.5).astype(np.float64)
    scores[7] = np.nan
    value = known[name].compute(truth, scores)
    assert np.isnan(value)
    assert not known[name].reaches(value, 0.3)


def test_a_label_that_does_not_occur_is_left_out() -> None:
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.9, 0], [0.3, 0.7, 0]])
    assert LABELS["balanced_accuracy"].compute(truth, probabilities) == 0.75
    assert LABELS["roc_auc"].compute(truth, probabilities) == 0.75


def test_better_follows_the_direction_of_the_metric() -> None:
    assert VALUES["r2"].is_better(0.9, 0.8)
    assert VALUES["rmse"].is_better(0.8, 0.9)
    assert not VALUES["rmse"].is_better(float("nan"), 0.9)
    assert not VALUES["rmse"].reaches(float("nan"), 0.9)


def test_a_metric_of_the_other_task_is_refused_with_those_there_are() -> None:
    with pytest.raises(ProjectError, match=r"gate.metric 'r2' is none of .*accuracy"):
        find_metric("classification", "r2")
