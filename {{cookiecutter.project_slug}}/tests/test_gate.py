"""The gate's rules on made-up models, and that a broken rule would be noticed."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from {{ cookiecutter.__package }}.config import GateSettings, ModelSettings, SliceSettings
from {{ cookiecutter.__package }}.modeling import gate
from {{ cookiecutter.__package }}.modeling.gate import (
    CONSTANT,
    check_alone,
    check_better,
    check_slices,
    compare_paired,
)
from {{ cookiecutter.__package }}.modeling.manifest import Comparison
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, Answers, Metric

Values = NDArray[np.float64]

ERROR = Metric(lambda real, predicted: float(np.abs(real - predicted).mean()), greater_is_better=False)
SETTINGS = GateSettings(metric="mae", minimum=10, slices=SliceSettings(columns=("side",), tolerance=0.1))
MODEL = ModelSettings(estimator="ridge", seed=3, gate=SETTINGS)
TRUTH = np.random.default_rng(0).normal(size=400)


def _noisy(noise: float, seed: int, truth: Values = TRUTH) -> Values:
    return truth + noise * np.random.default_rng(seed).normal(size=len(truth))


def _compare(candidate: Values, champion: Values, left: int = 80) -> list[str]:
    slices = {"side": np.array(["left"] * left + ["right"] * (len(TRUTH) - left))}
    models = Answers(candidate), Answers(champion)
    compared = gate.compare_paired(MODEL, ERROR, TRUTH, models[0], "latest (v3)", models[1])
    return [*check_better(SETTINGS, compared), *check_slices(SETTINGS, ERROR, TRUTH, slices, *models)]


CHANCE = np.where(np.arange(400) == 7, TRUTH, _noisy(1.0, 1))
ONE_SIDE = np.where(np.arange(400) < 80, _noisy(2.0, 1), _noisy(0.3, 1))
OF = "of config/model.yaml"
NUMBERS = r"(0.\d{4}|nan) against 0.\d{4} on the same 400 rows"
LATEST = r"than that of latest \(v3\)"
NOT_BETTER = f"test mae is not better {LATEST}: {NUMBERS}"
NOISE = rf"test mae is better {LATEST} with a confidence of \d+.\d% .{NUMBERS}.; gate.confidence {OF} asks for 95.0%"
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


def _mutate(**changes: float) -> Callable[..., Comparison]:
    return lambda *arguments: compare_paired(*arguments).model_copy(update=changes)


MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "candidate and champion swapped": (
        "compare_paired",
        lambda settings, metric, truth, one, against, other: compare_paired(
            settings, metric, truth, other, against, one
        ),
    ),
    "the confidence not looked at": ("compare_paired", _mutate(confidence=1)),
    "the gain not looked at": ("compare_paired", _mutate(gain=1, confidence=1)),
    "the slices not looked at": ("measure_groups", lambda *_: ()),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutation_of_the_comparison_changes_a_decision(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(gate, *MUTANTS[name])
    decisions = [not _compare(candidate, champion) for candidate, champion, _ in CASES.values()]
    assert decisions != [not reason for *_, reason in CASES.values()]


LABELS = ("no", "yes")


@pytest.mark.parametrize(
    ("changed", "error", "reason"),
    [
        ({"minimum_rows": 500}, 0.0, f"400 test rows are too few to judge by; gate.minimum_rows {OF} asks for 500"),
        ({}, float("nan"), "test mae is nan, which is no number"),
        ({}, float("inf"), "test mae is nan, which is no number"),
        ({}, 11.0, f"test mae 11.0000 is above gate.minimum 10 {OF}"),
    ],
)
def test_a_candidate_out_of_its_limits_is_refused_by_itself(changed: dict[str, Any], error: float, reason: str) -> None:
    assert list(check_alone(SETTINGS, ERROR, TRUTH, Answers(TRUTH), ())) == []
    settings = SETTINGS.model_copy(update=changed)
    assert list(check_alone(settings, ERROR, TRUTH, Answers(TRUTH + error), ())) == [reason]


def test_one_label_for_all_is_refused() -> None:
    settings = GateSettings(metric="accuracy", minimum=0)
    truth, scores = np.arange(400) % 2, np.tile([0.6, 0.4], (400, 1))
    [reason] = check_alone(settings, METRICS["classification"]["accuracy"], truth, Answers(scores), LABELS)
    assert reason.startswith(f"every test row gets the label 'no'; decision.best_for {OF}")


def test_a_slice_of_fewer_rows_than_the_minimum_says_nothing() -> None:
    assert _compare(ONE_SIDE, _noisy(1.0, 2), left=30)
    assert not _compare(ONE_SIDE, _noisy(1.0, 2), left=29)


def test_random_labels_are_no_first_model() -> None:
    auc, promoted = METRICS["classification"]["roc_auc"], 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        truth, given = generator.integers(0, 2, 60), generator.random(60)
        scores, half = np.column_stack([1 - given, given]), np.full((60, 2), 0.5)
        settings = MODEL.model_copy(update={"seed": seed})
        compared = compare_paired(settings, auc, truth, Answers(scores), CONSTANT, Answers(half))
        promoted += not list(check_better(SETTINGS, compared))
    assert promoted <= 6  # of the 5% of 40 that chance may have; more has a probability of 0.3%
