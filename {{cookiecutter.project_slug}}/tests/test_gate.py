"""The gate's rules on made-up models, and that a broken rule would be noticed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap

from {{ cookiecutter.__package }}.config import GateSettings, SliceSettings
from {{ cookiecutter.__package }}.modeling import gate
from {{ cookiecutter.__package }}.modeling.gate import (
    Measured,
    Slices,
    Verdict,
    check_against,
    check_alone,
    compare_paired,
    measure_interval,
)
from {{ cookiecutter.__package }}.modeling.metrics import Metric

Values = NDArray[np.float64]

ERROR = Metric(lambda real, predicted: float(np.abs(real - predicted).mean()), greater_is_better=False)
SETTINGS = GateSettings(metric="mae", minimum=10, slices=SliceSettings(columns=("side",), tolerance=0.1))
GOOD = Measured(value=1.0, rows=1000, latency=1.0, size=1000)


@pytest.fixture
def truth() -> Values:
    return np.random.default_rng(0).normal(size=400)


def _noisy(truth: Values, noise: float, seed: int) -> Values:
    noisy: Values = truth + noise * np.random.default_rng(seed).normal(size=len(truth))
    return noisy


def _compare(truth: Values, candidate: Values, champion: Values, slices: Slices | None = None) -> Verdict:
    return check_against(SETTINGS, ERROR, truth, candidate, champion, slices or {}, seed=3)


def _with_noise(candidate: float, champion: float, seed: int = 2) -> Callable[[Values], Verdict]:
    return lambda truth: _compare(truth, _noisy(truth, candidate, 1), _noisy(truth, champion, seed))


_better, _worse, _tied = _with_noise(0.5, 1.0), _with_noise(1.0, 0.5), _with_noise(1.0, 1.0, seed=1)


def _better_by_noise(truth: Values) -> Verdict:
    champion = _noisy(truth, 1.0, 1)
    candidate = champion.copy()
    # One row of 400 is right by chance.
    candidate[0] = truth[0]
    return _compare(truth, candidate, champion)


def _better_but_not_on_one_side(truth: Values) -> Verdict:
    side = np.where(np.arange(len(truth)) < 80, "left", "right")
    candidate = np.where(side == "left", _noisy(truth, 2.0, 1), _noisy(truth, 0.3, 1))
    return _compare(truth, candidate, _noisy(truth, 1.0, 2), {"side": side})


def _no_number(truth: Values) -> Verdict:
    candidate = truth.copy()
    candidate[5] = np.nan
    return _compare(truth, candidate, _noisy(truth, 1.0, 2))


CASES: list[tuple[Callable[[Values], Verdict], bool]] = [
    (_better, True),
    *((case, False) for case in (_worse, _tied, _better_by_noise, _better_but_not_on_one_side, _no_number)),
]


@pytest.mark.parametrize(("case", "passes"), CASES)
def test_only_a_model_that_is_surely_better_passes(
    truth: Values, case: Callable[[Values], Verdict], passes: bool
) -> None:
    assert case(truth).passed is passes


def test_each_refusal_names_the_number_the_limit_and_the_setting(truth: Values) -> None:
    assert "0.4" in _worse(truth).reasons[0]
    assert "is not better than that of latest" in _worse(truth).reasons[0]
    noise = _better_by_noise(truth).reasons[0]
    assert "% of the bootstrap's draws" in noise
    assert "gate.confidence of config/model.yaml asks for 95.0%" in noise
    side = _better_but_not_on_one_side(truth).reasons[0]
    assert "where side is 'left' (80 rows), test mae goes from" in side
    assert "gate.slices.tolerance of config/model.yaml allows a loss of 0.1" in side


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (replace(GOOD, rows=5), r"5 test rows are too few to judge by; gate.minimum_rows of config/model.yaml asks"),
        (replace(GOOD, value=float("nan")), r"test mae is nan, which is no number"),
        (replace(GOOD, value=float("inf")), r"test mae is inf, which is no number"),
        (replace(GOOD, value=11.0), r"test mae 11.0000 is above gate.minimum 10 of config/model.yaml"),
        (replace(GOOD, latency=80.0), r"takes 80.0 ms; gate.maximum_latency_ms of config/model.yaml allows 50"),
        (replace(GOOD, latency=float("nan")), r"takes nan ms; gate.maximum_latency_ms"),
        (replace(GOOD, size=300_000_000), r"has 300.0 MB; gate.maximum_size_mb of config/model.yaml allows 200"),
        (replace(GOOD, parity_problem="it differs"), r"cannot be served by ONNX: it differs; parity.required"),
    ],
)
def test_a_candidate_out_of_its_limits_is_refused_by_itself(changed: Measured, reason: str) -> None:
    assert check_alone(SETTINGS, ERROR, GOOD) == []
    assert [reason in found for found in check_alone(SETTINGS, ERROR, changed)] == [True]


def test_a_slice_of_few_rows_says_nothing(truth: Values) -> None:
    side = np.where(np.arange(len(truth)) < 29, "left", "right")
    candidate = np.where(side == "left", _noisy(truth, 2.0, 1), _noisy(truth, 0.3, 1))
    verdict = _compare(truth, candidate, _noisy(truth, 1.0, 2), {"side": side})
    assert verdict.passed
    assert [item.value for item in verdict.slices] == ["right"]


def test_of_two_equally_good_models_few_are_promoted_by_chance() -> None:
    quick = SETTINGS.model_copy(update={"resamples": 200})
    promoted = 0
    for seed in range(200):
        real = np.random.default_rng(seed).normal(size=100)
        first, second = _noisy(real, 1.0, 1000 + seed), _noisy(real, 1.0, 2000 + seed)
        promoted += check_against(quick, ERROR, real, first, second, {}, seed).passed
    # 5% by the confidence of 95%; the binomial's upper 0.1% is at 21 of 200.
    assert 1 <= promoted <= 21


def test_the_draws_are_those_of_scipy(truth: Values) -> None:
    candidate, champion = _noisy(truth, 1.0, 1), _noisy(truth, 1.1, 2)

    def gain(rows: NDArray[np.int64]) -> float:
        return ERROR.compute(truth[rows], champion[rows]) - ERROR.compute(truth[rows], candidate[rows])

    options: dict[str, Any] = {"n_resamples": 500, "vectorized": False, "method": "percentile"}
    theirs = bootstrap((np.arange(len(truth)),), gain, rng=np.random.default_rng(3), **options)
    ours = compare_paired(ERROR, truth, candidate, champion, 500, seed=3)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval))
    assert ours.confidence == np.mean(theirs.bootstrap_distribution > 0)


def test_where_few_draws_give_a_number_there_is_no_interval(truth: Values) -> None:
    assert measure_interval(ERROR, truth, truth, seed=0) is not None
    assert measure_interval(ERROR, truth, np.full(len(truth), np.nan), seed=0) is None


def test_a_higher_confidence_asks_for_more(truth: Values) -> None:
    champion = _noisy(truth, 1.0, 1)
    candidate = np.where(np.arange(len(truth)) < 12, truth, champion)
    sure = SETTINGS.model_copy(update={"confidence": 0.99999})
    assert _compare(truth, candidate, champion).passed
    assert check_against(sure, ERROR, truth, candidate, _noisy(truth, 0.97, 5), {}, 3).passed is False


MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "candidate and champion swapped": (
        "compare_paired",
        lambda metric, truth, candidate, champion, *rest: compare_paired(metric, truth, champion, candidate, *rest),
    ),
    "the confidence not looked at": ("compare_paired", lambda *all_: replace(compare_paired(*all_), confidence=1.0)),
    "the gain not looked at": ("compare_paired", lambda *all_: replace(compare_paired(*all_), gain=1, confidence=1)),
    "the slices not looked at": ("_judge_slice", lambda *_: ""),
    "nothing looked at": ("_judge", lambda *_: []),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutation_of_the_comparison_changes_a_decision(
    truth: Values, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(gate, *MUTANTS[name])
    assert [case(truth).passed for case, _ in CASES] != [passes for _, passes in CASES]
