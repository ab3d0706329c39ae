"""The choice of an estimator and its hyperparameters, by cross-validation on the training rows."""

import json
import math
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from joblib import Parallel, delayed
from numpy.typing import NDArray

from ..config import ModelSettings, SearchRange
from ..features import FeaturePlan
from ..schema import Schema
from ..terminal import get_logger, track
from ..tracking.run import Run
from .dataset import Dataset
from .estimators import (
    AUTO,
    BLEND,
    ESTIMATORS,
    Choice,
    Folds,
    Space,
    find_estimator,
    fit_estimator,
    make_folds,
    make_preparation,
    score_rows,
)
from .metrics import Metric
from .model import Scores

_logger = get_logger(__name__)


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


@dataclass(frozen=True)
class CrossValidation:
    """What estimators are tried on: training rows and their feature matrix, in folds."""

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
    def prepared(self) -> list[tuple[Any, Any]]:
        """Of each fold the rows to fit on and those to predict, prepared once for all tries."""

        def prepare(fitted: NDArray[np.int64], left: NDArray[np.int64]) -> tuple[Any, Any]:
            target = self.rows.target[fitted]
            preparation = make_preparation(self.schema.task, self.settings, self.plan, target)
            return preparation.fit_transform(self.matrix[fitted], target), preparation.transform(self.matrix[left])

        return Parallel(-1, prefer="threads")(delayed(prepare)(*fold) for fold in self.folds)  # type: ignore[no-any-return]

    def measure(self, choice: Choice) -> Try:
        """Fit on each fold and score what it leaves out."""
        start, labels, prepared = time.monotonic(), self.schema.labels, self.prepared

        def score(fitted: NDArray[np.int64], matrix: Any, left: Any) -> Scores:
            pipeline = fit_estimator(self.schema, self.settings, self.rows.take(fitted), matrix, choice)
            return score_rows(pipeline, self.schema, left)

        # A processor for each fold: threads within boosting wait for each other longer than they work.
        scored = Parallel(-1, prefer="threads")(
            delayed(score)(fitted, *each) for (fitted, _), each in zip(self.folds, prepared, strict=True)
        )
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

    Each estimator is tried as it usually is, then all in turn with hyperparameters that are drawn (Bergstra and Bengio,
    Random search for hyper-parameter optimization, 2012). Last come the blends, for which nothing is fitted again.
    """
    settings, metric, tries = validation.settings, validation.metric, list[Try]()
    starts, spaces = _find_spaces(validation.schema, settings)
    generator, end = np.random.default_rng(settings.seed), time.monotonic() + 60 * settings.search.minutes
    for number in track(range(max(settings.search.trials, len(starts))), "Searching"):
        choice = starts[number % len(starts)]
        if number >= len(starts):
            drawn = {name: _draw(values, generator) for name, values in spaces[choice.estimator].items()}
            choice = Choice(choice.estimator, choice.hyperparameters | drawn)
            if time.monotonic() > end:
                _logger.info("search.minutes (%g) ended the search after %s tries", settings.search.minutes, number)
                break
        if choice not in [found.choice for found in tries]:
            tries.append(validation.measure(choice))
            run.log_metrics({f"search_{settings.gate.metric}": metric.gain(tries[-1].gain, 0)}, number)
    settled = [_settle([found for found in tries if found.choice.estimator == name], starts) for name in spaces]
    several = [some for count in range(2, len(settled) + 1) for some in combinations(settled, count)]
    blends, best = [_blend(validation, some) for some in several], _find_best(settled)
    found = _find_best([best, *(blend for blend in blends if blend.is_surely_better(best))])
    shown = " and ".join(found.choice.hyperparameters if found.choice.estimator == BLEND else [found.choice.estimator])
    _logger.info("%s: cross-validated %s %.4f", shown, settings.gate.metric, metric.gain(found.gain, 0))
    return found, _describe_tries(validation, [*tries, *blends])


def _find_best(tries: list[Try]) -> Try:
    """The one with the best mean over the folds."""
    return max(tries, key=lambda found: found.gain)


def _settle(tries: list[Try], starts: list[Choice]) -> Try:
    """The best of one estimator's tries; as it usually is, unless something else is surely better."""
    best, usual = _find_best(tries), _find_best([found for found in tries if found.choice in starts])
    return best if best.is_surely_better(usual) else usual


def _blend(validation: CrossValidation, tries: tuple[Try, ...]) -> Try:
    choice = Choice(BLEND, dict(found.choice for found in tries))
    return validation.judge(choice, np.mean([found.scores for found in tries], axis=0))


def _find_spaces(schema: Schema, settings: ModelSettings) -> tuple[list[Choice], dict[str, Space]]:
    """What is tried first, and what hyperparameters each estimator may have then."""
    names = ESTIMATORS[schema.task] if settings.estimator == AUTO else [settings.estimator]
    kinds = {name: find_estimator(schema.task, name) for name in names}
    settled = settings.hyperparameters
    starts = [Choice(name, {**start, **settled.get(name, {})}) for name, kind in kinds.items() for start in kind.starts]
    return starts, {name: settings.search.space.get(name, kind.space) for name, kind in kinds.items()}


def _draw(values: list[Any] | SearchRange, generator: np.random.Generator) -> Any:
    if isinstance(values, list):
        return values[generator.integers(len(values))]
    low, high, position = values.low, values.high, generator.uniform()
    drawn = low * (high / low) ** position if values.log else low + (high - low) * position
    return round(drawn) if isinstance(low, int) and isinstance(high, int) else drawn


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
