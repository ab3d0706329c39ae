"""The weights by which a row gets its label: the best for a metric."""

import numpy as np
import pytest
from demo_project.modeling.decision import choose_weights
from demo_project.modeling.metrics import METRICS

from .test_decision import NAMES, _make_rare, _schema, _settings


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro"])
def test_the_threshold_is_as_good_as_any_but_for_a_twentieth_of_its_gain(name: str) -> None:
    (truth, probabilities), metric = _make_rare(), METRICS["classification"][name]
    weights = choose_weights(_schema(2), _settings(name), NAMES[:2], truth, probabilities)
    likeliest = metric.compute(truth, probabilities)
    thresholds = np.unique(probabilities[:, 1])
    every = [metric.gain(metric.compute(truth, probabilities, (t, 1 - t)), likeliest) for t in thresholds]
    gain = metric.gain(metric.compute(truth, probabilities, weights), likeliest)
    assert sum(weights) == pytest.approx(1)
    assert gain >= 0.95 * max(every) > 0


@pytest.mark.parametrize("labels", [3, 4])
def test_the_weights_of_several_labels_find_rare_ones(labels: int) -> None:
    (truth, probabilities), metric = _make_rare(labels), METRICS["classification"]["balanced_accuracy"]
    weights = choose_weights(_schema(labels), _settings("balanced_accuracy"), NAMES[:labels], truth, probabilities)
    assert sum(weights) == pytest.approx(1)
    likeliest = metric.compute(truth, probabilities)
    assert metric.compute(truth, probabilities, weights) > likeliest + 0.1


def test_a_label_that_the_model_has_not_seen_has_no_weight() -> None:
    truth, probabilities = _make_rare()
    two = choose_weights(_schema(2), _settings("f1_macro"), ("a", "b"), truth, probabilities)
    scores = np.insert(probabilities, 1, 0, axis=1)
    assert choose_weights(_schema(3), _settings("f1_macro"), ("a", "c"), 2 * truth, scores) == two
