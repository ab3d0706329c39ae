"""The choice of an estimator and its hyperparameters, by cross-validation on the training rows."""

import itertools
import json
import math
import time
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import optuna
import polars as pl
from joblib import cpu_count
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit
from threadpoolctl import threadpool_limits

from ..config import ModelSettings, SearchRange
from ..errors import ProjectError
from ..features import FeaturePlan
from ..schema import Schema
from ..terminal import get_logger, track
from ..tracking.run import Run
from .dataset import Dataset, align_scores
from .estimators import (
    AUTO,
    BLEND,
    ESTIMATORS,
    WEIGHT,
    Folds,
    find_estimator,
    fit_estimator,
    fit_pipeline,
    make_estimator,
    make_preparation,
)
from .metrics import Metric
from .model import Scores, score_with_pipeline

_STEPS = 4  # of a weight in a blend

_logger = get_logger(__name__)
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Try(NamedTuple):
    """An estimator with hyperparameters: the metric of each fold, and the scores of the rows that folds left out.

    `scores`, (rows,) or (rows, labels of the schema), has NaN for rows that no fold left out.
    """

    estimator: str
    hyperparameters: dict[str, Any]
    values: list[float]
    scores: Scores
    seconds: float

    @property
    def value(self) -> float:
        """The mean over the folds in which the metric is a number."""
        finite = [value for value in self.values if math.isfinite(value)]
        return float(np.mean(finite)) if finite else math.nan


def make_folds(rows: Dataset, settings: ModelSettings, each_once: bool = False) -> Folds:
    """Folds with labels in proportion, where rows of one group stay together.

    With times, earlier rows are fitted on and later ones left out, so that the earliest are never left out; unless
    `each_once` asks for that: then a fold leaves out a stretch of time.
    """
    count, by_label = settings.search.folds, rows.target.dtype.kind == "i"
    if len(rows.times):
        order = np.argsort(rows.times, kind="stable")
        stretches = KFold(count) if each_once else TimeSeriesSplit(count)
        return [(order[fitted], order[left]) for fitted, left in stretches.split(order)]
    count_groups = len(np.unique(rows.groups))
    groups = rows.groups if 1 < count_groups < len(rows) else None
    if groups is None:
        kind = StratifiedKFold if by_label else KFold
    else:
        kind, count = StratifiedGroupKFold if by_label else GroupKFold, min(count, count_groups)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        splitter = kind(count, shuffle=True, random_state=settings.seed)
        return list(splitter.split(rows.target, rows.target, groups))


@dataclass(frozen=True)
class CrossValidation:
    """What estimators are tried on: training rows and their feature matrix, in folds that are prepared once for all."""

    schema: Schema
    settings: ModelSettings
    plan: FeaturePlan
    metric: Metric
    rows: Dataset
    matrix: NDArray[np.float32]

    @cached_property
    def folds(self) -> Folds:
        folds, target = make_folds(self.rows, self.settings), self.rows.target
        # The earliest rows may be of one label, which no classifier learns from.
        return [fold for fold in folds if not self.schema.labels or len(np.unique(target[fold[0]])) > 1]

    @cached_property
    def _prepared(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        prepared = []
        for fitted, left in self.folds:
            target = self.rows.target[fitted]
            preparation = make_preparation(self.schema.task, self.settings, self.plan, len(np.unique(target)))
            # What is fitted on is encoded otherwise than what is left out: each row's own target takes no part.
            prepared.append(
                (preparation.fit_transform(self.matrix[fitted], target), preparation.transform(self.matrix[left]))
            )
        return prepared

    def measure(self, name: str, hyperparameters: dict[str, Any], trial: optuna.Trial | None = None) -> Try:
        """Fit on each fold and score what it leaves out; no further once `trial` is hopeless beside others."""
        found, start = Try(name, hyperparameters, [], self._make_scores(), 0), time.monotonic()
        # A processor for each fold: threads within boosting wait for each other longer than they work.
        processors = cpu_count()
        for first in range(0, len(self.folds), processors):
            places = range(first, min(first + processors, len(self.folds)))
            with ThreadPoolExecutor(processors) as pool:
                scored = list(pool.map(partial(self._score_fold, name, hyperparameters), places))
            for place, scores in zip(places, scored, strict=True):
                left = self.folds[place][1]
                found.scores[left] = scores
                found.values.append(self.metric.compute(self.rows.target[left], scores))
            if trial is not None:
                trial.report(self.metric.gain(found.value, 0), places[-1])
                if trial.should_prune():
                    break
        return found._replace(seconds=time.monotonic() - start)

    def _score_fold(self, name: str, hyperparameters: dict[str, Any], place: int) -> Scores:
        (features, others), target = self._prepared[place], self.rows.target[self.folds[place][0]]
        estimator = make_estimator(self.schema.task, self.settings.seed, name, hyperparameters)
        with threadpool_limits(1, "openmp"):
            fitted = fit_estimator(estimator, (features, target), name, hyperparameters)
            return self._align(score_with_pipeline(fitted, bool(self.schema.labels))(others), target)

    def score_whole(self, name: str, hyperparameters: dict[str, Any]) -> Scores:
        """Scores of the rows that folds leave out, as `Try` has them, by the whole pipeline with its calibration."""
        scores = self._make_scores()
        for fitted, left in track(self.folds, "Scoring"):
            rows, matrix = self.rows.take(fitted), self.matrix[fitted]
            inner = make_folds(rows, self.settings, each_once=True)
            pipeline = fit_pipeline(
                self.schema.task, self.settings, self.plan, (matrix, rows.target), name, hyperparameters, inner
            )
            found = score_with_pipeline(pipeline, bool(self.schema.labels))(self.matrix[left])
            scores[left] = self._align(found, rows.target)
        return scores

    def _make_scores(self) -> Scores:
        labels = self.schema.labels
        return np.full((len(self.rows), len(labels)) if labels else len(self.rows), np.nan)

    def _align(self, scores: Scores, target: NDArray[Any]) -> Scores:
        present = tuple(self.schema.labels[place] for place in np.unique(target)) if self.schema.labels else ()
        return align_scores(scores, present, self.schema)


@dataclass(frozen=True)
class _Family:
    """An estimator as a search sees it: what is settled, what it has otherwise, and what is tried in place of that."""

    name: str
    settled: dict[str, Any]
    usual: dict[str, Any]
    space: Mapping[str, list[Any] | SearchRange]

    @property
    def start(self) -> dict[str, Any]:
        """The first trial's parameters, which are the estimator's usual ones where the space holds them."""
        usual = {key: _encode(values, self.usual.get(key)) for key, values in self.space.items()}
        return {f"{self.name} {key}": value for key, value in usual.items() if value is not None}

    def suggest(self, trial: optuna.Trial, is_first: bool) -> dict[str, Any]:
        chosen = dict(self.settled)
        for key, values in self.space.items():
            name = f"{self.name} {key}"
            if is_first and name not in self.start:
                continue
            if isinstance(values, list):
                chosen[key] = values[trial.suggest_categorical(name, range(len(values)))]
            elif isinstance(values.low, int) and isinstance(values.high, int):
                chosen[key] = trial.suggest_int(name, values.low, values.high, log=values.log)
            else:
                chosen[key] = trial.suggest_float(name, values.low, values.high, log=values.log)
        return chosen


def _encode(values: list[Any] | SearchRange, value: Any) -> Any:
    """What Optuna has for a value of a space; None where the space does not hold it."""
    if isinstance(values, list):
        return values.index(value) if value in values else None
    is_held = type(value) in (int, float) and values.low <= value <= values.high
    return value if is_held else None


def _find_families(schema: Schema, settings: ModelSettings) -> dict[str, _Family]:
    task, own = schema.task, settings.search.space
    names = list(ESTIMATORS[task]) if settings.estimator == AUTO else [settings.estimator]
    families = {}
    for name in names:
        kind = find_estimator(task, name)
        settled = {**kind.defaults, **settings.hyperparameters.get(name, {})}
        if space := own.get(name, kind.space):
            families[name] = _Family(name, settled, {**kind.create().get_params(), **settled}, space)
    if not families:
        raise ProjectError(
            f"config/model.yaml: search.trials is {settings.search.trials}, but search.space has no "
            f"{settings.estimator} with values for each name; add what to try, or set trials to 0."
        )
    return families


def search_estimator(validation: CrossValidation, run: Run) -> tuple[Try, pl.DataFrame]:
    """The best of what the settings allow, within their budget, and the table of all tries.

    Each estimator is first tried as it usually is; then a tree-structured Parzen estimator (Bergstra et al., 2011)
    chooses what to try. Raises ProjectError where there is nothing to search for.
    """
    settings, metric = validation.settings, validation.metric
    families = _find_families(validation.schema, settings)
    sampler, pruner = optuna.samplers.TPESampler(seed=settings.seed), optuna.pruners.PercentilePruner(75)
    study = optuna.create_study(sampler=sampler, pruner=pruner, direction="maximize")
    for name, family in families.items():
        study.enqueue_trial({"estimator": name, **family.start})
    tries: dict[str, Try] = {}
    end = time.monotonic() + 60 * settings.search.minutes
    for number in track(range(max(settings.search.trials, len(families))), "Searching"):
        if number >= len(families) and time.monotonic() > end:
            _logger.info("search.minutes (%g) ended the search after %s tries", settings.search.minutes, number)
            break
        trial = study.ask()
        name = trial.suggest_categorical("estimator", list(families))
        chosen = families[name].suggest(trial, number < len(families))
        key = json.dumps([name, chosen], default=str)
        if key not in tries:
            tries[key] = validation.measure(name, chosen, trial)
        found = tries[key]
        if len(found.values) < len(validation.folds):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, float(np.nan_to_num(metric.gain(found.value, 0), nan=-math.inf)))
        run.log_metrics({f"search_{settings.gate.metric}": found.value}, number)
        _logger.debug("%s with %s: %s %.4f", name, chosen, settings.gate.metric, found.value)
    whole = [found for found in tries.values() if len(found.values) == len(validation.folds)]
    best = [_find_best([found for found in whole if found.estimator == name], metric) for name in families]
    blend = blend_tries(best, validation) if settings.estimator == AUTO else None
    for found in [*best, blend] if blend else best:
        _logger.info("%s: cross-validated %s %.4f", found.estimator, settings.gate.metric, found.value)
    table = _tabulate([*tries.values(), *([blend] if blend else [])], settings.gate.metric)
    return blend or _find_best(best, metric), table


def _tabulate(tries: list[Try], metric: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "estimator": [found.estimator for found in tries],
            metric: [found.value for found in tries],
            "folds": [len(found.values) for found in tries],
            "seconds": [round(found.seconds, 3) for found in tries],
            "hyperparameters": [json.dumps(found.hyperparameters, default=str) for found in tries],
        }
    )


def _find_best(tries: list[Try], metric: Metric) -> Try:
    return max(tries, key=lambda found: np.nan_to_num(metric.gain(found.value, 0), nan=-math.inf))


def blend_tries(tries: list[Try], validation: CrossValidation) -> Try | None:
    """The mean of the tries' scores, weighted as is best in quarters, where it pays for what it costs to serve.

    It does where over the folds it is better than the best of them by more than the standard error of the difference.
    """
    metric, best = validation.metric, _find_best(tries, validation.metric)
    blends = []
    for weights in itertools.product(range(_STEPS + 1), repeat=len(tries)):
        if sum(weights) != _STEPS or max(weights) == _STEPS:
            continue
        members = [(weight / _STEPS, found) for weight, found in zip(weights, tries, strict=True) if weight]
        scores = np.sum([weight * found.scores for weight, found in members], axis=0)
        values = [metric.compute(validation.rows.target[left], scores[left]) for _, left in validation.folds]
        own = {found.estimator: {WEIGHT: weight, **found.hyperparameters} for weight, found in members}
        blends.append(Try(BLEND, own, values, scores, 0))
    if not blends:
        return None
    blend = _find_best(blends, metric)
    gains = np.array([metric.gain(new, old) for new, old in zip(blend.values, best.values, strict=True)])
    return blend if np.mean(gains) > np.std(gains, ddof=1) / math.sqrt(len(gains)) else None
