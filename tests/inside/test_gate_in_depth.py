"""The gate's rules on made-up models, and that a broken rule would be noticed."""

from typing import Any

import numpy as np
import pytest
from demo_project.modeling import gate
from demo_project.modeling.gate import CONSTANT, compare_paired
from demo_project.modeling.metrics import Answers
from scipy.stats import bootstrap

from .test_gate import ERROR, MODEL, TRUTH, _noisy


def test_the_draws_are_those_of_scipy() -> None:
    new, old = (ERROR.on_draws(TRUTH, _noisy(noise, seed)) for noise, seed in ((1.0, 1), (1.1, 2)))
    options: dict[str, Any] = {"n_resamples": 1000, "vectorized": False, "method": "percentile"}
    generator = np.random.default_rng(3)
    theirs = bootstrap((np.arange(400),), lambda rows: old(rows) - new(rows), rng=generator, **options)
    ours = compare_paired(MODEL, ERROR, TRUTH, Answers(_noisy(1.0, 1)), CONSTANT, Answers(_noisy(1.1, 2)))
    assert ours.interval == pytest.approx(tuple(theirs.confidence_interval))
    assert ours.confidence == np.mean(theirs.bootstrap_distribution > 0)


def test_where_few_draws_give_a_number_there_is_no_interval() -> None:
    assert gate.measure_interval(ERROR, TRUTH, Answers(TRUTH), seed=0) == (0, 0)
    assert gate.measure_interval(ERROR, TRUTH, Answers(np.full(400, np.nan)), seed=0) is None
