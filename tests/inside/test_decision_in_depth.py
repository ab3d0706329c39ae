"""The weights by which a row gets its label: the best for a metric, and those that every caller uses."""

from itertools import product

import numpy as np
import pytest
from demo_project.modeling.decision import choose_weights
from demo_project.modeling.metrics import METRICS, find_metric

from .test_decision import NAMES, _make_rare, _schema, _settings


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro", "mcc", "cost"])
def test_of_two_labels_the_threshold_is_as_good_as_any_but_for_a_twentieth_of_its_gain(name: str) -> None:
    truth, probabilities = _make_rare()
    settings = _settings(name, {"b": {"a": 9}, "a": {"b": 1}})
    metric = find_metric(_schema(2), settings, "decision.best_for")
    weights = choose_weights(settings, _schema(2), ("a", "b"), truth, probabilities)
    likeliest = metric.compute(truth, probabilities)
    thresholds = np.unique(probabilities[:, 1])
    every = [metric.gain(metric.compute(truth, probabilities, (t, 1 - t)), likeliest) for t in thresholds]
    gain = metric.gain(metric.compute(truth, probabilities, weights), likeliest)
    assert sum(weights) == pytest.approx(1)
    assert gain >= 0.95 * max(every) > 0
    if name == "cost":  # of probabilities that are right: a missed b costs nine times a false one
        assert weights[0] == pytest.approx(0.1, abs=0.05)


def test_of_several_labels_the_weights_are_about_as_good_as_the_best_of_a_grid() -> None:
    (truth, probabilities), metric = _make_rare(300, 3), METRICS["classification"]["balanced_accuracy"]
    weights = choose_weights(_settings("balanced_accuracy"), _schema(3), NAMES, truth, probabilities)
    grid = [metric.compute(truth, probabilities, (1, *each)) for each in product(np.geomspace(0.5, 50, 15), repeat=2)]
    likeliest = metric.compute(truth, probabilities)
    assert metric.compute(truth, probabilities, weights) - likeliest > 0.9 * (max(grid) - likeliest) > 0


def test_a_label_that_the_model_has_not_seen_has_no_weight() -> None:
    truth, probabilities = _make_rare()
    two = choose_weights(_settings("f1_macro"), _schema(2), ("a", "b"), truth, probabilities)
    scores = np.insert(probabilities, 1, 0, axis=1)
    assert choose_weights(_settings("f1_macro"), _schema(3), ("a", "c"), 2 * truth, scores) == two
