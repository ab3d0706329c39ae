"""The choice of an estimator, by cross-validation on the training rows."""

import json
import logging
import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..config import ModelSettings
from ..features import FeaturePlan
from ..schema import Schema
from ..terminal import track
from .dataset import Dataset
from .estimators import ESTIMATORS, Choice, Folds, fit_estimator, make_blend, make_folds, make_preparation, score_rows
from .metrics import Metric
from .model import Scores

_STEPS = 4  # in which weights of a blend are tried

_logger = logging.getLogger(__name__)


class Try(NamedTuple):
    """An estimator that was tried: the metric of each fold, negative where less is better, and the rows' scores.

    `scores`, (rows,) or (rows, labels of the schema), has NaN for rows that no fold left out.
    """

    choice: Choice
    gains: NDArray[np.float64]
    scores: Scores

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
        labels, prepared = self.schema.labels, self.prepared

        def score(fitted: NDArray[np.int64], matrix: Any, left: Any) -> Scores:
            with threadpool_limits(1, "openmp"):
                pipeline = fit_estimator(self.schema, self.settings, self.rows.take(fitted), matrix, choice)
                return score_rows(pipeline, self.schema, left)

        # A processor for each fold: threads within boosting wait for each other longer than they work.
        scored = Parallel(-1, prefer="threads")(
            delayed(score)(fitted, *each) for (fitted, _), each in zip(self.folds, prepared, strict=True)
        )
        scores = np.full((len(self.rows), len(labels)) if labels else len(self.rows), np.nan)
        for (_, left), found in zip(self.folds, scored, strict=True):
            scores[left] = found
        return self.judge(choice, scores)

    def judge(self, choice: Choice, scores: Scores) -> Try:
        """The try that gave these scores."""
        values = [self.metric.compute(self.rows.target[left], scores[left]) for _, left in self.folds]
        return Try(choice, np.array([self.metric.gain(value, 0) for value in values]), scores)


def search_estimator(validation: CrossValidation) -> tuple[Try, pl.DataFrame]:
    """The best of the estimators as they usually are and of their blends, and the table of all tries.

    A blend is the weighted mean of what several say, each with its best hyperparameters. It has to be surely better.
    """
    kinds, settings = ESTIMATORS[validation.schema.task], validation.settings
    own, names, gain = settings.hyperparameters, list(kinds), attrgetter("gain")
    starts = [Choice(name, {**start, **own.get(name, {})}) for name in names for start in kinds[name].starts]
    tries = [validation.measure(choice) for choice in track(starts, "Searching")]
    tops = [max((found for found in tries if found.choice.estimator == name), key=gain) for name in names]
    weights = product(range(_STEPS + 1), repeat=len(tops))
    some = [each for each in weights if sum(each) == _STEPS > max(each)]
    blends, best = [_blend(validation, tops, each) for each in some], max(tops, key=gain)
    found = max([best, *(blend for blend in blends if blend.is_surely_better(best))], key=gain)
    table = pl.DataFrame(
        {
            "estimator": each.choice.estimator,
            settings.gate.metric: validation.metric.gain(each.gain, 0),
            "hyperparameters": json.dumps(each.choice.hyperparameters, default=str),
        }
        for each in [*tries, *blends]
    )
    shown = found.choice.estimator, settings.gate.metric, validation.metric.gain(found.gain, 0)
    _logger.info("%s: cross-validated %s %.4f", *shown)
    return found, table


def _blend(validation: CrossValidation, tries: list[Try], parts: tuple[int, ...]) -> Try:
    # Nothing is fitted again.
    members = [(part / _STEPS, found) for part, found in zip(parts, tries, strict=True) if part]
    scores = np.sum([weight * found.scores for weight, found in members], axis=0)
    return validation.judge(make_blend((weight, found.choice) for weight, found in members), scores)
