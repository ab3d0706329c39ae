"""The threshold by which a row gets one of two labels: the best for a metric."""

import numpy as np
import pytest
from demo_project.modeling.decision import choose_weights
from demo_project.modeling.metrics import METRICS

from .test_decision import _make_rare, _schema, _settings


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro"])
def test_the_threshold_is_as_good_as_any_but_for_a_twentieth_of_its_gain(name: str) -> None:
    (truth, probabilities), metric = _make_rare(), METRICS["classification"][name]
    weights = choose_weights(_schema(2), _settings(name), truth, probabilities)
    likeliest = metric.compute(truth, probabilities)
    thresholds = np.unique(probabilities[:, 1])
    every = [metric.gain(metric.compute(truth, probabilities, (t, 1 - t)), likeliest) for t in thresholds]
    gain = metric.gain(metric.compute(truth, probabilities, weights), likeliest)
    assert sum(weights) == pytest.approx(1)
    assert gain >= 0.95 * max(every) > 0
