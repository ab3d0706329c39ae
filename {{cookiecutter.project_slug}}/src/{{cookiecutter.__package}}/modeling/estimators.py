"""The estimators by name, and the pipeline around them."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from threadpoolctl import threadpool_limits

from ..config import ModelSettings
from ..errors import ProjectError
from ..features import FeaturePlan
from ..schema import Schema, Task
from .dataset import Dataset, align_scores
from .model import Scores
from .pieces import PieceRegression

AUTO, BLEND, _WEIGHT = "auto", "blend", "weight"
"""`auto` chooses among all of `ESTIMATORS`, and the `blend` of several, whose hyperparameters are theirs by name."""

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""For each fold, the places of the rows to fit on and of those to predict."""
Step = tuple[str, Any]


class Choice(NamedTuple):
    """The name of an estimator, and its hyperparameters; those that are not named are as the class has them."""

    estimator: str
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class EstimatorKind:
    """A class with scikit-learn's interface that skl2onnx converts.

    `scaled`: it needs features of one scale. `starts`: hyperparameters with which `auto` tries it.
    """

    create: Any
    scaled: bool = False
    starts: tuple[Mapping[str, Any], ...] = ({},)


# A bound on the leaves keeps a forest of many rows small enough to be served.
_FOREST = {"n_estimators": 100, "min_samples_leaf": 3, "max_leaf_nodes": 1000}
_SMALL_LEAVES = _FOREST | {"min_samples_leaf": 1, "max_features": 0.4}
# As it is, and slow with few features a tree, which is better on most tables, also with small leaves for few rows.
# Above 10,000 rows boosting stops early, by scikit-learn's own default.
_SLOW = {"learning_rate": 0.03, "max_iter": 300, "max_features": 0.3}
_BOOSTING_STARTS: tuple[Mapping[str, Any], ...] = ({}, _SLOW, _SLOW | {"min_samples_leaf": 5})
_LOGISTIC_STARTS = ({"max_iter": 1000}, {"max_iter": 1000, "C": 10})

ESTIMATORS: dict[Task, dict[str, EstimatorKind]] = {
    "classification": {
        "logistic_regression": EstimatorKind(LogisticRegression, scaled=True, starts=_LOGISTIC_STARTS),
        "random_forest": EstimatorKind(RandomForestClassifier, starts=(_FOREST, _SMALL_LEAVES)),
        "hist_gradient_boosting": EstimatorKind(HistGradientBoostingClassifier, starts=_BOOSTING_STARTS),
    },
    "regression": {
        "ridge": EstimatorKind(Ridge, scaled=True),
        "random_forest": EstimatorKind(RandomForestRegressor, starts=(_FOREST | {"max_features": 0.3}, _SMALL_LEAVES)),
        "hist_gradient_boosting": EstimatorKind(HistGradientBoostingRegressor, starts=_BOOSTING_STARTS),
    },
}

_ROWS_FOR_THREADS = 20_000


def find_estimator(task: Task, name: str) -> EstimatorKind:
    """The estimator of that name. Raises ProjectError where `ESTIMATORS` has none such for the task."""
    if name not in (known := ESTIMATORS[task]):
        such = f"estimator {name!r} is none of {', '.join(known)}, the estimators for a {task}, nor {AUTO}"
        raise ProjectError(f"config/model.yaml: {such}; docs/guides/extending.md shows how to add one.")
    return known[name]


def make_blend(members: Iterable[tuple[float, Choice]]) -> Choice:
    """The weighted mean of what several say."""
    return Choice(BLEND, {name: {_WEIGHT: weight, **own} for weight, (name, own) in members})


def fit_pipeline(
    schema: Schema, settings: ModelSettings, plan: FeaturePlan, rows: Dataset, matrix: NDArray[Any], choice: Choice
) -> Pipeline:
    """Prepare the feature matrix of `rows`, then as `fit_estimator`."""
    preparation = make_preparation(schema.task, settings, plan, rows.target)
    return fit_estimator(schema, settings, rows, matrix, choice, [("prepare", preparation)])


def fit_estimator(
    schema: Schema,
    settings: ModelSettings,
    rows: Dataset,
    matrix: NDArray[Any],
    choice: Choice,
    before: Sequence[Step] = (),
) -> Pipeline:
    """Scale where needed, estimate, and calibrate where it is asked for; `before` are steps that come before these.

    All processors fit; their number changes nothing. Raises ProjectError where the estimator or a hyperparameter does
    not exist or does not work.
    """
    # Below so many rows boosting's threads wait for each other longer than they work.
    limit = 1 if len(rows) < _ROWS_FOR_THREADS else None
    try:
        steps = _make_estimator(schema.task, settings, choice)
        if settings.calibration == "sigmoid" and schema.labels:
            # Each row is left out once, which folds in order of time do not do.
            folds = make_folds(replace(rows, times=np.empty(0)), settings)
            steps[-1] = ("estimate", CalibratedClassifierCV(steps[-1][1], cv=folds, ensemble=False))
        pipeline = Pipeline([*before, *steps])
        with parallel_config("threading", n_jobs=-1), threadpool_limits(limit, "openmp"):
            return pipeline.fit(matrix, rows.target)
    except ValueError as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"{choice.estimator} cannot be trained with {choice.hyperparameters}: {reason}") from error


def _make_estimator(task: Task, settings: ModelSettings, choice: Choice) -> list[Step]:
    """An estimator, and what scales its features; not for trees: in float32 a scaled value can cross a threshold."""
    name, hyperparameters = choice
    if name == BLEND:
        own = {name: dict(each) for name, each in hyperparameters.items()}
        weights = np.array([each.pop(_WEIGHT) for each in own.values()])  # skl2onnx 1.20 takes an array alone,
        choices = map(Choice, own, own.values())
        members = [(each.estimator, Pipeline(_make_estimator(task, settings, each))) for each in choices]
        if task == "regression":
            return [("estimate", VotingRegressor(members, weights=weights))]
        # and probabilities that are not flat.
        return [("estimate", VotingClassifier(members, weights=weights, voting="soft", flatten_transform=False))]
    kind = find_estimator(task, name)
    estimator = kind.create()
    seeded = {"random_state": settings.seed} if "random_state" in estimator.get_params() else {}
    estimator.set_params(**seeded | hyperparameters)
    return [*([("scale", StandardScaler())] if kind.scaled else []), ("estimate", estimator)]


def make_preparation(task: Task, settings: ModelSettings, plan: FeaturePlan, target: NDArray[Any]) -> Any:
    """What makes of the feature matrix what estimators take.

    Missing numbers are imputed for every estimator, also for those that know NaN: ONNX sends NaN the other way down a
    forest. A code becomes the mean target of its value (cross-fitted; Micci-Barreca, 2001), which ONNX has for two
    labels or values alone; of more labels the text of the column tells. A text becomes what its pieces say.
    """
    encoded = {*plan.codes, *(place for start, stop in plan.texts for place in range(start, stop))}
    plain = [place for place in range(len(plan.names)) if place not in encoded]
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    if not encoded:
        return impute
    folds = (KFold if task == "regression" else StratifiedKFold)(5, shuffle=True, random_state=settings.seed)
    kind: Literal["continuous", "binary"] = "continuous" if task == "regression" else "binary"
    codes = [] if task == "classification" and len(np.unique(target)) > 2 else list(plan.codes)
    parts = [("impute", impute, plain), ("codes", TargetEncoder(target_type=kind, cv=folds), codes)]
    for start, stop in plan.texts:
        parts.append((f"text {start}", PieceRegression(folds, settings.seed), list(range(start, stop))))
    return ColumnTransformer([part for part in parts if part[2]])


def make_folds(rows: Dataset, settings: ModelSettings) -> Folds:
    """Folds with labels in proportion, where rows of one group stay together.

    With times, earlier rows are fitted on and later ones left out, so that the earliest are never left out.
    """
    count = settings.search.folds
    if len(rows.times):
        order = np.argsort(rows.times, kind="stable")
        return [(order[fitted], order[left]) for fitted, left in TimeSeriesSplit(count).split(order)]
    names, group = np.unique(rows.groups, return_inverse=True)
    if len(names) < 2:
        names = group = np.arange(len(rows))
    # Whole groups are dealt out, by the rarest label that is in them.
    strata, count = np.zeros(len(names), dtype=np.int64), min(count, len(names))
    if rows.target.dtype.kind == "i":
        np.maximum.at(strata, group, np.argsort(np.argsort(-np.bincount(rows.target)))[rows.target])
    if np.bincount(strata).max() < count:
        strata[:] = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        splits = list(StratifiedKFold(count, shuffle=True, random_state=settings.seed).split(names, strata))
    insides = [np.isin(group, left) for _, left in splits]
    return [(np.flatnonzero(~inside), np.flatnonzero(inside)) for inside in insides]


def score_rows(pipeline: Pipeline, schema: Schema, matrix: NDArray[Any]) -> Scores:
    """Values; or a probability for each label of the schema, 0 for those that the pipeline was not fitted on."""
    if not schema.labels:
        return pipeline.predict(matrix)  # type: ignore[no-any-return]
    known = [schema.labels[place] for place in pipeline.classes_]
    return align_scores(pipeline.predict_proba(matrix), known, schema.labels)
