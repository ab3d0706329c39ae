"""The option space: every valid combination of answers, and a small part of it that covers all pairs.

An option is a question of cookiecutter.json with a list of choices, so a new one is found by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from heapq import heapify, heapreplace
from itertools import combinations, product
from pathlib import Path

Combination = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]

TEMPLATE = Path(__file__).parents[1]

RULES: list[Callable[[Combination], bool]] = [
    lambda answers: answers["cloud"] == "none" or answers["containers"] != "none",
]
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


@cache
def covering_combinations() -> list[Combination]:
    """Return the covering array of all valid combinations, which is what is baked and run for real."""
    return covering_array(every_combination())


def covering_array(candidates: Sequence[Combination]) -> list[Combination]:
    """Return some of the candidates that hold every pair of answers which any of them holds.

    Greedy: each next one adds the pairs of the greatest weight, and the first of equals wins, so the
    result is always the same. Pairs of options with many choices weigh more: they are the hardest to
    fit in, and how many there are decides how few combinations can do.
    """
    left = {pair: weight(pair) for combination in candidates for pair in pairs(combination)}

    def added(place: int) -> int:
        return sum(left.get(pair, 0) for pair in pairs(candidates[place]))

    # What a candidate adds can only shrink: one that still leads after it was weighed again is the best.
    heap = [(-added(place), place) for place in range(len(candidates))]
    heapify(heap)
    chosen = []
    while left:
        best = (-added(heap[0][1]), heap[0][1])
        if heapreplace(heap, best) == best:
            chosen.append(candidates[best[1]])
            for pair in pairs(chosen[-1]):
                left.pop(pair, None)
    return chosen


def weight(pair: Pair) -> int:
    """Return how hard it is to fit a pair of answers into a small covering array."""
    (option, _), (other, _) = pair
    return (len(options()[option]) * len(options()[other])) ** 2


def label(combination: Combination) -> str:
    """Return the name that a test of this combination carries."""
    return "-".join(combination.values())
