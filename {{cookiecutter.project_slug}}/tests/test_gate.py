"""The gate's rules on made-up models, and that a broken rule would be noticed."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap

from {{ cookiecutter.__package }}.config import GateSettings, SliceSettings
from {{ cookiecutter.__package }}.modeling import gate
from {{ cookiecutter.__package }}.modeling.gate import Measured, Verdict, check_alone, compare_paired
from {{ cookiecutter.__package }}.modeling.metrics import Metric

Values = NDArray[np.float64]

ERROR = Metric(lambda real, predicted: float(np.abs(real - predicted).mean()), greater_is_better=False)
SETTINGS = GateSettings(metric="mae", minimum=10, slices=SliceSettings(columns=("side",), tolerance=0.1))
GOOD = Measured(value=1.0, rows=1000, latency=1.0, size=1000)
TRUTH = np.random.default_rng(0).normal(size=400)


def _noisy(noise: float, seed: int, truth: Values = TRUTH) -> Values:
    return truth + noise * np.random.default_rng(seed).normal(size=len(truth))


def _compare(candidate: Values, champion: Values, left: int = 80, truth: Values = TRUTH, **changed: Any) -> Verdict:
    settings, side = SETTINGS.model_copy(update=changed), np.array(["left"] * left + ["right"] * (len(truth) - left))
    return gate.check_against(settings, ERROR, truth, candidate, champion, {"side": side}, seed=3)


CHANCE = np.where(np.arange(400) == 7, TRUTH, _noisy(1.0, 1))
ONE_SIDE = np.where(np.arange(400) < 80, _noisy(2.0, 1), _noisy(0.3, 1))
OF = "of config/model.yaml"
NUMBERS = r"(0.\d{4}|nan) against 0.\d{4} on the same 400 rows"
NOT_BETTER = f"test mae is not better than that of latest: {NUMBERS}"
NOISE = rf"test mae is better in \d+.\d% of the bootstrap's draws .{NUMBERS}.; gate.confidence {OF} asks for 95.0%"
SIDE = rf"where side is 'left' .80 rows., test mae goes from .* to .*; gate.slices.tolerance {OF} allows a loss of 0.1"
CASES: dict[str, tuple[Values, Values, str]] = {
    "better": (_noisy(0.5, 1), _noisy(1.0, 2), ""),
    "worse": (_noisy(1.0, 1), _noisy(0.5, 2), NOT_BETTER),
    "tied": (_noisy(1.0, 1), _noisy(1.0, 1), NOT_BETTER),
    "no number": (np.where(CHANCE == TRUTH, np.nan, TRUTH), _noisy(1.0, 2), NOT_BETTER),
    "one row of 400 right by chance": (CHANCE, _noisy(1.0, 1), NOISE),
    "better, but worse on one side": (ONE_SIDE, _noisy(1.0, 2), SIDE),
}


@pytest.mark.parametrize(("candidate", "champion", "reason"), CASES.values(), ids=CASES)
def test_only_what_is_surely_better_passes_or_is_told_why(candidate: Values, champion: Values, reason: str) -> None:
    assert re.fullmatch(reason, next(iter(_compare(candidate, champion).reasons), ""))


MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "candidate and champion swapped": (
        "compare_paired",
        lambda metric, truth, candidate, champion, *rest: compare_paired(metric, truth, champion, candidate, *rest),
    ),
    "the confidence not looked at": ("compare_paired", lambda *all_: replace(compare_paired(*all_), confidence=1.0)),
    "the gain not looked at": ("compare_paired", lambda *all_: replace(compare_paired(*all_), gain=1, confidence=1)),
    "the slices not looked at": ("find_groups", lambda *_: ()),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutation_of_the_comparison_changes_a_decision(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(gate, *MUTANTS[name])
    decisions = [_compare(candidate, champion).passed for candidate, champion, _ in CASES.values()]
    assert decisions != [not reason for *_, reason in CASES.values()]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"rows": 5}, f"5 test rows are too few to judge by; gate.minimum_rows {OF} asks for 30"),
        ({"value": float("nan")}, "test mae is nan, which is no number"),
        ({"value": float("inf")}, "test mae is inf, which is no number"),
        ({"value": 11.0}, f"test mae 11.0000 is above gate.minimum 10 {OF}"),
        ({"latency": 80.0}, f"a prediction takes 80.0 ms; gate.maximum_latency_ms {OF} allows 50"),
        ({"latency": float("nan")}, f"a prediction takes nan ms; gate.maximum_latency_ms {OF} allows 50"),
        ({"size": 300_000_000}, f"the model has 300.0 MB; gate.maximum_size_mb {OF} allows 200"),
        ({"parity_problem": "no"}, f"it cannot be served by ONNX: no; parity.required {OF} is true"),
    ],
)
def test_a_candidate_out_of_its_limits_is_refused_by_itself(changed: dict[str, Any], reason: str) -> None:
    assert list(check_alone(SETTINGS, ERROR, GOOD)) == []
    assert list(check_alone(SETTINGS, ERROR, replace(GOOD, **changed))) == [reason]


def test_a_slice_of_fewer_rows_than_the_minimum_says_nothing() -> None:
    assert not _compare(ONE_SIDE, _noisy(1.0, 2), left=30).passed
    assert _compare(ONE_SIDE, _noisy(1.0, 2), left=29).passed


def test_of_two_equally_good_models_few_are_promoted_by_chance() -> None:
    promoted = 0
    for seed in range(100):
        truth = np.random.default_rng(seed).normal(size=100)
        models = _noisy(1.0, 1000 + seed, truth), _noisy(1.0, 2000 + seed, truth)
        promoted += _compare(*models, 0, truth, resamples=200).passed
    # 5% by the confidence of 95%; the binomial's upper 0.1% is at 13 of 100.
    assert 1 <= promoted <= 13


def test_the_draws_are_those_of_scipy() -> None:
    new, old = (ERROR.on_draws(TRUTH, _noisy(noise, seed)) for noise, seed in ((1.0, 1), (1.1, 2)))
    options: dict[str, Any] = {"n_resamples": 500, "vectorized": False, "method": "percentile"}
    generator = np.random.default_rng(3)
    theirs = bootstrap((np.arange(400),), lambda rows: old(rows) - new(rows), rng=generator, **options)
    ours = compare_paired(ERROR, TRUTH, _noisy(1.0, 1), _noisy(1.1, 2), 500, seed=3)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval))
    assert ours.confidence == np.mean(theirs.bootstrap_distribution > 0)


def test_where_few_draws_give_a_number_there_is_no_interval() -> None:
    assert gate.measure_interval(ERROR, TRUTH, TRUTH, seed=0) == (0, 0)
    assert gate.measure_interval(ERROR, TRUTH, np.full(400, np.nan), seed=0) is None
