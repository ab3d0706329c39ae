"""Each metric against scikit-learn's own, and what is no number."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, compute_metrics, find_metric

LABELS = METRICS["classification"]
VALUES = METRICS["regression"]


def _make_probabilities(rows: int, labels: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, labels, rows)
    # Rounded, so that there are ties.
    probabilities = np.round(generator.dirichlet(np.ones(labels), rows) + np.eye(labels)[truth], 2)
    return truth, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_label_metrics_are_those_of_scikit_learn(labels: int, seed: int) -> None:
    truth, probabilities = _make_probabilities(300, labels, seed)
    chosen = probabilities.argmax(axis=1)
    score = probabilities[:, 1] if labels == 2 else probabilities
    expected = {
        "accuracy": metrics.accuracy_score(truth, chosen),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, chosen),
        "f1_macro": metrics.f1_score(truth, chosen, average="macro"),
        "roc_auc": metrics.roc_auc_score(truth, score, multi_class="ovr"),
        "log_loss": metrics.log_loss(truth, probabilities),
    }
    assert compute_metrics("classification", truth, probabilities) == pytest.approx(expected)


def test_value_metrics_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(100, 20, 300)
    values = truth + generator.normal(0, 5, 300)
    expected = {
        "r2": metrics.r2_score(truth, values),
        "rmse": metrics.root_mean_squared_error(truth, values),
        "mae": metrics.mean_absolute_error(truth, values),
    }
    assert compute_metrics("regression", truth, values) == pytest.approx(expected)


@pytest.mark.parametrize("name", LABELS)
def test_a_probability_that_is_no_number_makes_no_good_metric(name: str) -> None:
    truth, probabilities = _make_probabilities(50, 3, 0)
    probabilities[7] = np.nan
    metric = LABELS[name]
    assert np.isnan(metric.compute(truth, probabilities))
    assert not metric.reaches(metric.compute(truth, probabilities), 0.3)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_no_number_makes_no_good_metric(name: str) -> None:
    truth = np.arange(10.0)
    values = truth.copy()
    values[3] = np.nan
    metric = VALUES[name]
    assert not metric.reaches(metric.compute(truth, values), 0.3)


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
    with pytest.raises(ProjectError, match=r"gate.metric 'r2' is none of accuracy, balanced_accuracy"):
        find_metric("classification", "r2")
