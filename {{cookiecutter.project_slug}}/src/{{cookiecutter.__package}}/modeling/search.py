"""The choice of an estimator and its hyperparameters, by cross-validation on the training rows."""

import itertools
import json
import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import optuna
import polars as pl
from joblib import Memory, Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..config import ModelSettings
from ..errors import ProjectError
from ..features import FeaturePlan
from ..schema import Schema
from ..terminal import get_logger, track
from ..tracking.local import Run
from .dataset import Dataset
from .estimators import (
    AUTO,
    BLEND,
    ESTIMATORS,
    WEIGHT,
    Choice,
    Folds,
    Space,
    find_estimator,
    fit_pipeline,
    make_folds,
    score_rows,
)
from .metrics import Metric
from .model import Scores

_STEPS = 4  # of a weight in a blend

_logger = get_logger(__name__)
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Try(NamedTuple):
    """An estimator that was tried: the metric of each fold, negative where less is better, and the rows' scores.

    `scores`, (rows,) or (rows, labels of the schema), has NaN for rows that no fold left out.
    """

    choice: Choice
    gains: NDArray[np.float64]
    scores: Scores
    seconds: float

    @property
    def gain(self) -> float:
        """The mean over the folds in which the metric is a number."""
        finite = self.gains[np.isfinite(self.gains)]
        return float(np.mean(finite)) if len(finite) else -math.inf

    def is_surely_better(self, other: "Try") -> bool:
        """Whether the mean gain is more than its standard error: the best of many is better by luck, too."""
        more = (self.gains - other.gains)[np.isfinite(self.gains - other.gains)]
        return len(more) > 1 and bool(np.mean(more) > np.std(more, ddof=1) / math.sqrt(len(more)))


def find_best(tries: list[Try]) -> Try:
    """The one with the best mean over the folds."""
    return max(tries, key=lambda found: found.gain)


@dataclass(frozen=True)
class CrossValidation:
    """What estimators are tried on: training rows and their feature matrix, in folds, prepared once a `memory`."""

    schema: Schema
    settings: ModelSettings
    plan: FeaturePlan
    metric: Metric
    rows: Dataset
    matrix: NDArray[np.float32]
    memory: Memory | None = None

    @cached_property
    def folds(self) -> Folds:
        folds, target = make_folds(self.rows, self.settings), self.rows.target
        # The earliest rows may be of one label, which no classifier learns from.
        return [fold for fold in folds if not self.schema.labels or len(np.unique(target[fold[0]])) > 1]

    def measure(self, choice: Choice) -> Try:
        """Fit on each fold and score what it leaves out."""
        start, labels = time.monotonic(), self.schema.labels

        def score(fitted: NDArray[np.int64], left: NDArray[np.int64]) -> Scores:
            known = self.rows.take(fitted), self.matrix[fitted]
            with threadpool_limits(1, "openmp"):
                pipeline = fit_pipeline(self.schema, self.settings, self.plan, *known, choice, self.memory)
                return score_rows(pipeline, self.schema, self.matrix[left])

        # A processor for each fold: threads within boosting wait for each other longer than they work.
        scored = Parallel(-1, prefer="threads")(delayed(score)(*fold) for fold in self.folds)
        scores = np.full((len(self.rows), len(labels)) if labels else len(self.rows), np.nan)
        for (_, left), found in zip(self.folds, scored, strict=True):
            scores[left] = found
        return self.judge(choice, scores, time.monotonic() - start)

    def judge(self, choice: Choice, scores: Scores, seconds: float = 0) -> Try:
        """The try that gave these scores."""
        values = [self.metric.compute(self.rows.target[left], scores[left]) for _, left in self.folds]
        return Try(choice, np.array([self.metric.gain(value, 0) for value in values]), scores, seconds)


def search_estimator(validation: CrossValidation, run: Run) -> tuple[Try, pl.DataFrame]:
    """The best of what the settings allow, within their budget, and the table of all tries.

    Each estimator is first tried as it usually is, and stays so unless something is surely better; then a
    tree-structured Parzen estimator (Bergstra et al., 2011) chooses what to try. Raises ProjectError where there is
    nothing to search for.
    """
    settings, metric, tries = validation.settings, validation.metric, dict[str, Try]()
    spaces, end = _find_spaces(validation.schema, settings), time.monotonic() + 60 * settings.search.minutes
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=settings.seed), direction="maximize")
    starts = [Choice(name, start) for name, (usual, _) in spaces.items() for start in usual]
    for start in starts:
        study.enqueue_trial({"estimator": start.estimator})
    for number in track(range(max(settings.search.trials, len(starts))), "Searching"):
        if number >= len(starts) and time.monotonic() > end:
            _logger.info("search.minutes (%g) ended the search after %s tries", settings.search.minutes, number)
            break
        trial = study.ask()
        name = trial.suggest_categorical("estimator", list(spaces))
        (usual, *_), space = spaces[name]
        choice = starts[number] if number < len(starts) else Choice(name, usual | _suggest(trial, name, space))
        key = json.dumps(choice, default=str)
        found = tries[key] = tries.get(key) or validation.measure(choice)
        study.tell(trial, found.gain)
        run.log_metrics({f"search_{settings.gate.metric}": metric.gain(found.gain, 0)}, number)
    families = [[found for found in tries.values() if found.choice.estimator == name] for name in spaces]
    usual_ones = [find_best([found for found in family if found.choice in starts]) for family in families]
    tops = map(find_best, families)
    best = [top if top.is_surely_better(usual) else usual for top, usual in zip(tops, usual_ones, strict=True)]
    blends = _blend_tries(validation, best) if settings.estimator == AUTO else []
    for found in [*best, *blends]:
        shown = found.choice.estimator, settings.gate.metric, metric.gain(found.gain, 0)
        _logger.info("%s: cross-validated %s %.4f", *shown)
    return [find_best(best), *blends][-1], _describe_tries(validation, [*tries.values(), *blends])


def _describe_tries(validation: CrossValidation, tries: list[Try]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "estimator": found.choice.estimator,
            validation.settings.gate.metric: validation.metric.gain(found.gain, 0),
            "seconds": round(found.seconds, 3),
            "hyperparameters": json.dumps(found.choice.hyperparameters, default=str),
        }
        for found in tries
    )


def _find_spaces(schema: Schema, settings: ModelSettings) -> dict[str, tuple[list[dict[str, Any]], Space]]:
    """The estimators to try: what hyperparameters each usually has, and what is tried in place of them."""
    spaces = {}
    for name in ESTIMATORS[schema.task] if settings.estimator == AUTO else [settings.estimator]:
        kind = find_estimator(schema.task, name)
        if space := settings.search.space.get(name, kind.space):
            own, settled = kind.create().get_params(), settings.hyperparameters.get(name, {})
            known = {key: own[key] for key in space if key in own}
            spaces[name] = [known | dict(start) | settled for start in kind.starts], space
    if not spaces:
        raise ProjectError(
            f"config/model.yaml: search.trials is {settings.search.trials}, but search.space has no "
            f"{settings.estimator} with values for each name; add what to try, or set trials to 0."
        )
    return spaces


def _suggest(trial: optuna.Trial, name: str, space: Space) -> dict[str, Any]:
    chosen = {}
    for key, values in space.items():
        where = f"{name} {key}"
        if isinstance(values, list):
            chosen[key] = values[trial.suggest_categorical(where, range(len(values)))]
        else:
            is_whole = isinstance(values.low, int) and isinstance(values.high, int)
            suggest: Any = trial.suggest_int if is_whole else trial.suggest_float
            chosen[key] = suggest(where, values.low, values.high, log=values.log)
    return chosen


def _blend_tries(validation: CrossValidation, tries: list[Try]) -> list[Try]:
    """The mean of the tries' scores, weighted as is best in quarters, where that is surely better than each of them."""
    blends = []
    for weights in itertools.product(range(_STEPS + 1), repeat=len(tries)):
        if sum(weights) == _STEPS > max(weights):
            members = [(weight / _STEPS, found) for weight, found in zip(weights, tries, strict=True) if weight]
            own = {name: {WEIGHT: weight, **each} for weight, ((name, each), *_) in members}
            scores = np.sum([weight * found.scores for weight, found in members], axis=0)
            blends.append(validation.judge(Choice(BLEND, own), scores))
    found = [find_best(blends)] if blends else []
    return [blend for blend in found if blend.is_surely_better(find_best(tries))]
