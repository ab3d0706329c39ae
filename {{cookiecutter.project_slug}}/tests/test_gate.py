"""The gate's rules on made-up models, and that a broken rule would be noticed."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from {{ cookiecutter.__package }}.config import GateSettings, SliceSettings
from {{ cookiecutter.__package }}.modeling import gate
from {{ cookiecutter.__package }}.modeling.gate import (
    CONSTANT,
    LINEAR,
    Look,
    Measured,
    check_alone,
    check_rivals,
    compare_paired,
)
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, Answers, Metric

Values = NDArray[np.float64]

ERROR = Metric(lambda real, predicted: float(np.abs(real - predicted).mean()), greater_is_better=False)
SETTINGS = GateSettings(metric="mae", minimum=10, slices=SliceSettings(columns=("side",), tolerance=0.1))
GOOD = Measured(value=1.0, rows=1000, latency=1.0, size=1000)
TRUTH = np.random.default_rng(0).normal(size=400)


def _noisy(noise: float, seed: int, truth: Values = TRUTH) -> Values:
    return truth + noise * np.random.default_rng(seed).normal(size=len(truth))


def _compare(candidate: Values, champion: Values, left: int = 80, truth: Values = TRUTH, number: int = 1) -> list[str]:
    slices = {"side": np.array(["left"] * left + ["right"] * (len(truth) - left))}
    models, look = (Answers(candidate), Answers(champion)), Look(number, "v3")
    return gate.check_against(SETTINGS, ERROR, truth, *models, slices, 3, look)[1]


CHANCE = np.where(np.arange(400) == 7, TRUTH, _noisy(1.0, 1))
ONE_SIDE = np.where(np.arange(400) < 80, _noisy(2.0, 1), _noisy(0.3, 1))
OF = "of config/model.yaml"
NUMBERS = r"(0.\d{4}|nan) against 0.\d{4} on the same 400 rows"
NOT_BETTER = f"test mae is not better than that of latest: {NUMBERS}"
ASKED = f"97.5% is asked for: gate.confidence {OF}, 95.0%, is the total over all of them"
LOOK = f"this is candidate number 1 against v3 on these rows, so {ASKED}"
NOISE = rf"test mae is better than that of latest with a confidence of \d+.\d+% .{NUMBERS}.; {LOOK}"
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
    assert re.fullmatch(reason, next(iter(_compare(candidate, champion)), ""))


MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "candidate and champion swapped": (
        "compare_paired",
        lambda metric, truth, candidate, champion, *rest: compare_paired(metric, truth, champion, candidate, *rest),
    ),
    "the confidence not looked at": ("compare_paired", lambda *all_: replace(compare_paired(*all_), confidence=1.0)),
    "the gain not looked at": ("compare_paired", lambda *all_: replace(compare_paired(*all_), gain=1, confidence=1)),
    "the slices not looked at": ("measure_groups", lambda *_: ()),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutation_of_the_comparison_changes_a_decision(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(gate, *MUTANTS[name])
    decisions = [not _compare(candidate, champion) for candidate, champion, _ in CASES.values()]
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
        (
            {"only_label": "no"},
            f"every test row gets the label 'no'; decision.best_for {OF}, such as balanced_accuracy, finds another "
            "threshold",
        ),
    ],
)
def test_a_candidate_out_of_its_limits_is_refused_by_itself(changed: dict[str, Any], reason: str) -> None:
    assert list(check_alone(SETTINGS, ERROR, GOOD)) == []
    assert list(check_alone(SETTINGS, ERROR, replace(GOOD, **changed))) == [reason]


def test_a_slice_of_fewer_rows_than_the_minimum_says_nothing() -> None:
    assert _compare(ONE_SIDE, _noisy(1.0, 2), left=30)
    assert not _compare(ONE_SIDE, _noisy(1.0, 2), left=29)


def test_the_constant_must_be_beaten_and_a_linear_model_may_not_be_better() -> None:
    good, bad = Answers(_noisy(0.5, 1)), Answers(_noisy(1.0, 2))
    better, worse = (compare_paired(ERROR, TRUTH, *pair, 200, 3) for pair in ((good, bad), (bad, good)))
    assert list(check_rivals(SETTINGS, Look(), {CONSTANT: better, LINEAR: better})) == []
    assert list(check_rivals(SETTINGS, Look(), {LINEAR: replace(worse, doubt=0.9)})) == []
    constant, linear = check_rivals(SETTINGS, Look(), {CONSTANT: worse, LINEAR: worse})
    assert re.fullmatch("test mae is not better than that of the best constant answer: .* same 400 rows", constant)
    assert re.fullmatch(r"test mae of a linear model is better: 0.\d+ against 0.\d+ on .*, confidence 100.0%", linear)


def test_random_labels_are_no_first_model() -> None:
    auc, promoted = METRICS["classification"]["roc_auc"], 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        truth, given = generator.integers(0, 2, 60), generator.random(60)
        scores, half = np.column_stack([1 - given, given]), np.full((60, 2), 0.5)
        compared = compare_paired(auc, truth, Answers(scores), Answers(half), 100, seed)
        promoted += not list(check_rivals(SETTINGS, Look(), {CONSTANT: compared}))
    assert promoted <= 4  # of the 2.5% of 40 that chance may have; more has a probability of 0.3%


def test_each_further_candidate_is_asked_for_more_and_all_together_keep_the_promise() -> None:
    asked = [1 - Look(number).ask(SETTINGS) for number in range(1, 1000)]
    assert asked[0] == pytest.approx(0.025)
    assert asked == sorted(asked, reverse=True)
    assert 0.0499 < sum(asked) < 0.05
    candidate, champion = _noisy(1.0, 7), _noisy(1.08, 2)
    assert not _compare(candidate, champion, 0)
    [reason] = _compare(candidate, champion, 0, number=40)
    assert "this is candidate number 40 against v3 on these rows, so 99.997% is asked for" in reason
