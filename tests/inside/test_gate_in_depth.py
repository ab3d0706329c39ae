"""The gate's rules on made-up models, and that a broken rule would be noticed."""

from typing import Any

import numpy as np
import pytest
from demo_project.modeling import gate
from demo_project.modeling.gate import (
    Look,
    compare_paired,
)
from demo_project.modeling.metrics import Answers
from scipy.stats import bootstrap

from .test_gate import ERROR, SETTINGS, TRUTH, Values, _noisy  # noqa: F401


def test_twenty_equal_tries_keep_the_promise_that_a_fixed_confidence_breaks() -> None:
    promoted = formerly = 0
    for seed in range(30):
        truth = np.random.default_rng(seed).normal(size=70)
        champion = Answers(_noisy(1.0, 1000 + seed, truth))
        tries = [Answers(_noisy(1.0, 100_000 + 20 * seed + number, truth)) for number in range(20)]
        sure = [
            compare_paired(ERROR, truth, each, champion, 100, number).confidence for number, each in enumerate(tries)
        ]
        promoted += any(found >= Look(number).ask(SETTINGS) for number, found in enumerate(sure, start=1))
        formerly += any(found >= SETTINGS.confidence for found in sure)
    # Of the 5% that are promised, the binomial's upper 0.3% is at 6 of 30.
    assert promoted < 6 < formerly


def test_the_draws_are_those_of_scipy() -> None:
    new, old = (ERROR.on_draws(TRUTH, _noisy(noise, seed)) for noise, seed in ((1.0, 1), (1.1, 2)))
    options: dict[str, Any] = {"n_resamples": 500, "vectorized": False, "method": "percentile"}
    generator = np.random.default_rng(3)
    theirs = bootstrap((np.arange(400),), lambda rows: old(rows) - new(rows), rng=generator, **options)
    ours = compare_paired(ERROR, TRUTH, Answers(_noisy(1.0, 1)), Answers(_noisy(1.1, 2)), 500, seed=3)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval))
    assert (
        np.mean(theirs.bootstrap_distribution > 0) - 0.02
        < ours.confidence
        <= np.mean(theirs.bootstrap_distribution > 0)
    )


def test_where_few_draws_give_a_number_there_is_no_interval() -> None:
    assert gate.measure_interval(ERROR, TRUTH, Answers(TRUTH), seed=0) == (0, 0)
    assert gate.measure_interval(ERROR, TRUTH, Answers(np.full(400, np.nan)), seed=0) is None
