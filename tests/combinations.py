"""The option space: every valid combination of answers, and a small part of it that covers all pairs.

An option is a question of cookiecutter.json with a list of choices, so a new one is found by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations, product
from pathlib import Path

Combination = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]

TEMPLATE = Path(__file__).parents[1]

RULES: list[Callable[[Combination], bool]] = []
"""Each says whether a combination may be asked for; a rule here needs its message in answers.py."""


@cache
def options() -> dict[str, tuple[str, ...]]:
    """Return the choices of each option, the default first."""
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    return {
        name: tuple(choices)
        for name, choices in questions.items()
        if isinstance(choices, list) and not name.startswith("_")
    }


def every_combination() -> list[Combination]:
    """Return all valid combinations, in the order of cookiecutter.json."""
    names = options()
    combined = (dict(zip(names, values, strict=True)) for values in product(*names.values()))
    return [combination for combination in combined if all(rule(combination) for rule in RULES)]


def default_combination() -> Combination:
    """Return the first choice of every option."""
    return {name: choices[0] for name, choices in options().items()}


def pairs(combination: Combination) -> set[Pair]:
    """Return every two answers that the combination holds together."""
    return set(combinations(combination.items(), 2))


def covering_array(candidates: Sequence[Combination]) -> list[Combination]:
    """Return some of the candidates that hold every pair of answers which any of them holds.

    Greedy: each next one adds the pairs of the greatest weight, and the first of equals wins, so the
    result is always the same. Pairs of options with many choices weigh more: they are the hardest to
    fit in, and how many there are decides how few combinations can do.
    """
    left = set[Pair]().union(*(pairs(combination) for combination in candidates))
    chosen = []
    while left:
        best = max(candidates, key=lambda combination: sum(map(weight, pairs(combination) & left)))
        chosen.append(best)
        left -= pairs(best)
    return chosen


def weight(pair: Pair) -> int:
    """Return how hard it is to fit a pair of answers into a small covering array."""
    (option, _), (other, _) = pair
    return (len(options()[option]) * len(options()[other])) ** 2


def neighbours(combination: Combination) -> Iterator[tuple[str, Combination]]:
    """Yield each option with the valid combinations that differ in it alone."""
    for option, choices in options().items():
        for choice in choices:
            other = {**combination, option: choice}
            if other != combination and all(rule(other) for rule in RULES):
                yield option, other


def label(combination: Combination) -> str:
    """Return the name that a test of this combination carries."""
    return "-".join(combination.values())
