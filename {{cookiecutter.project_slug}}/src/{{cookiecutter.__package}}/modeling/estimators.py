"""The estimators by name, and the pipeline around them."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Literal, NamedTuple

import numpy as np
from joblib import Memory, parallel_config
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
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
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from threadpoolctl import threadpool_limits

from ..config import ModelSettings, SearchRange, SelectionSettings
from ..errors import ProjectError
from ..features import FeaturePlan
from ..schema import Schema, Task
from .dataset import Dataset
from .model import Scores
from .pieces import PieceRegression

AUTO, BLEND, WEIGHT = "auto", "blend", "weight"
"""`auto` chooses among the estimators that have a `space`, or their `blend`; of that the hyperparameters are, by
estimator, those of its members and their `weight`."""

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""For each fold, the places of the rows to fit on and of those to predict."""
Space = Mapping[str, list[Any] | SearchRange]
"""What to try for each hyperparameter: a list of values or a range."""
Step = tuple[str, Any]


class Choice(NamedTuple):
    """The name of an estimator, and its hyperparameters; those that are not named are as the class has them."""

    estimator: str
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class EstimatorKind:
    """A class with scikit-learn's interface, and what else search, training and export have to know of it.

    `scaled`: it needs features of one scale. `starts` and `space`: what a search tries first, and then.
    `register_converter`: called before the training, it tells skl2onnx of the class.
    """

    create: Any
    scaled: bool = False
    register_converter: Callable[[], None] | None = None
    starts: tuple[Mapping[str, Any], ...] = ({},)
    space: Space = field(default_factory=dict)


def _between(low: float, high: float) -> SearchRange:
    return SearchRange(low=low, high=high, log=True)


# A bound on the leaves keeps a forest of many rows small enough to be served.
_FOREST = {"n_estimators": 100, "min_samples_leaf": 3, "max_leaf_nodes": 1000}
_FOREST_SPACE = {"min_samples_leaf": _between(1, 20), "max_features": _between(0.1, 0.6)}
# As it is, and slow with few features a tree, which is better on most tables. Above 10,000 rows boosting stops early,
# by scikit-learn's own default.
_BOOSTING_STARTS: tuple[Mapping[str, Any], ...] = ({}, {"learning_rate": 0.03, "max_iter": 300, "max_features": 0.3})
_BOOSTING_SPACE = {
    "learning_rate": _between(0.02, 0.2),
    "max_iter": _between(50, 400),
    "max_leaf_nodes": _between(4, 63),
    "min_samples_leaf": _between(5, 100),
    "l2_regularization": _between(1e-3, 10.0),
    "max_features": _between(0.3, 1.0),
}

ESTIMATORS: dict[Task, dict[str, EstimatorKind]] = {
    "classification": {
        "logistic_regression": EstimatorKind(
            LogisticRegression, scaled=True, starts=({"max_iter": 1000},), space={"C": _between(1e-3, 100.0)}
        ),
        "random_forest": EstimatorKind(RandomForestClassifier, starts=(_FOREST,), space=_FOREST_SPACE),
        "hist_gradient_boosting": EstimatorKind(
            HistGradientBoostingClassifier, starts=_BOOSTING_STARTS, space=_BOOSTING_SPACE
        ),
    },
    "regression": {
        "ridge": EstimatorKind(Ridge, scaled=True, space={"alpha": _between(1e-2, 1e4)}),
        "random_forest": EstimatorKind(
            RandomForestRegressor, starts=(_FOREST | {"max_features": 0.3},), space=_FOREST_SPACE
        ),
        "hist_gradient_boosting": EstimatorKind(
            HistGradientBoostingRegressor, starts=_BOOSTING_STARTS, space=_BOOSTING_SPACE
        ),
    },
}

_ROWS_FOR_THREADS = 20_000
# The modules of onnxmltools that convert the classes of other libraries.
_CONVERTERS = {"lightgbm": "lightgbm.operator_converters.LightGbm", "xgboost": "xgboost.operator_converters.XGBoost"}
# What a tree splits at is a value between two rows, which scaling would move in float32.
_UNSCALED = ("sklearn.ensemble.", "sklearn.tree.", "lightgbm.", "xgboost.", "catboost.")


def find_estimator(task: Task, name: str) -> EstimatorKind:
    """The estimator of that name in `ESTIMATORS`, or of that import path. Raises ProjectError where there is none."""
    if name in (known := ESTIMATORS[task]):
        return known[name]
    module, _, attribute = name.rpartition(".")
    where = f"config/model.yaml: estimator {name!r}"
    if not module:
        raise ProjectError(
            f"{where} is none of {', '.join(known)}, the estimators for a {task}, nor {AUTO}, nor an import path such "
            "as sklearn.ensemble.ExtraTreesClassifier."
        )
    try:
        create = getattr(import_module(module), attribute)
        fits = (is_classifier if task == "classification" else is_regressor)(create())
    except (ImportError, AttributeError) as error:
        raise ProjectError(
            f"{where} cannot be imported ({error}); `uv add --optional training` its package."
        ) from error
    except TypeError as error:
        raise ProjectError(f"{where} is no estimator that can be made without arguments: {error}") from error
    if not fits:
        raise ProjectError(f"{where} is no estimator for a {task}.")
    library = module.split(".")[0]
    register = partial(_register_booster, library, create, task) if library in _CONVERTERS else None
    return EstimatorKind(create, not name.startswith(_UNSCALED), register_converter=register)


def _register_booster(library: str, create: Any, task: Task) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    try:
        converters = import_module(f"onnxmltools.convert.{_CONVERTERS[library]}")
    except ImportError:  # which export tells
        return
    kind = "classifier" if task == "classification" else "regressor"
    shapes = getattr(shape_calculator, f"calculate_linear_{kind}_output_shapes")
    options = {"zipmap": [True, False], "nocl": [True, False]} if task == "classification" else {"split": None}
    convert = getattr(converters, f"convert_{library}")
    update_registered_converter(create, create.__name__, shapes, convert, options=options)


def fit_pipeline(
    schema: Schema,
    settings: ModelSettings,
    plan: FeaturePlan,
    rows: Dataset,
    matrix: NDArray[Any],
    choice: Choice,
    memory: Memory | None = None,
) -> Pipeline:
    """Prepare, scale where needed, estimate, and calibrate where it is asked for, each row left out once.

    `memory` keeps what is prepared for the next estimator on the same rows. All processors fit; their number
    changes nothing. Raises ProjectError where the estimator or a hyperparameter does not exist or does not work, or a
    classifier gives no probabilities.
    """
    *scaling, (_, last) = _make_estimator(schema.task, settings, choice)
    if settings.calibration != "none" and schema.labels:
        folds = make_folds(rows, settings, each_once=True)
        last = CalibratedClassifierCV(last, method=settings.calibration, cv=folds, ensemble=False)
    preparation = _make_preparation(schema.task, settings, plan, rows.target)
    pipeline = Pipeline([*preparation, *scaling, ("estimate", last)], memory=memory)
    # Below so many rows boosting's threads wait for each other longer than they work.
    limit = 1 if len(rows) < _ROWS_FOR_THREADS else None
    try:
        with parallel_config("threading", n_jobs=-1), threadpool_limits(limit, "openmp"):
            pipeline.fit(matrix, rows.target)
    except ValueError as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"{choice.estimator} cannot be trained with {choice.hyperparameters}: {reason}") from error
    if isinstance(last, CalibratedClassifierCV):
        last.set_params(cv=None)  # the places of rows are of no use to whoever loads it
    return pipeline


def make_folds(rows: Dataset, settings: ModelSettings, each_once: bool = False) -> Folds:
    """Folds with labels in proportion, where rows of one group stay together.

    With times, earlier rows are fitted on and later ones left out, so that the earliest are never left out; unless
    `each_once` asks for that: then a fold leaves out a stretch of time.
    """
    count, is_labelled = settings.search.folds, rows.target.dtype.kind == "i"
    if len(rows.times):
        order = np.argsort(rows.times, kind="stable")
        stretches = KFold(count) if each_once else TimeSeriesSplit(count)
        return [(order[fitted], order[left]) for fitted, left in stretches.split(order)]
    names, group = np.unique(rows.groups, return_inverse=True)
    if len(names) < 2:
        names = group = np.arange(len(rows))
    # Whole groups are dealt out, by the rarest label that is in them.
    strata, count = np.zeros(len(names), dtype=np.int64), min(count, len(names))
    if is_labelled:
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
    scores = np.zeros((len(matrix), len(schema.labels)))
    scores[:, pipeline.classes_] = pipeline.predict_proba(matrix)
    return scores


def _make_preparation(task: Task, settings: ModelSettings, plan: FeaturePlan, target: NDArray[Any]) -> list[Step]:
    """What makes of the feature matrix what estimators take.

    Missing numbers are imputed for every estimator, also for those that know NaN: ONNX sends NaN the other way down a
    forest. A code becomes the mean target of its value (cross-fitted; Micci-Barreca, 2001), which ONNX has for two
    labels or values alone; of more labels the text of the column tells. A text becomes what its pieces say.
    """
    encoded = {*plan.codes, *(place for start, stop in plan.texts for place in range(start, stop))}
    plain = [place for place in range(len(plan.names)) if place not in encoded]
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    folds = (KFold if task == "regression" else StratifiedKFold)(5, shuffle=True, random_state=settings.seed)
    kind: Literal["continuous", "binary"] = "continuous" if task == "regression" else "binary"
    labels = len(np.unique(target)) if task == "classification" else 0
    codes = [] if labels > 2 else list(plan.codes)
    parts = [("impute", impute, plain), ("codes", TargetEncoder(target_type=kind, cv=folds), codes)]
    for start, stop in plan.texts:
        parts.append((f"text {start}", PieceRegression(folds, settings.seed), list(range(start, stop))))
    width = len(plain) + len(codes) + len(plan.texts) * (labels if labels > 2 else 1)
    selector = make_selector(settings.features.selection, task, width)
    prepare = ColumnTransformer([part for part in parts if part[2]]) if encoded else impute
    return [("impute", prepare), *([("select", selector)] if selector else [])]


def _make_estimator(task: Task, settings: ModelSettings, choice: Choice) -> list[Step]:
    """An estimator, and what scales its features; not for trees: in float32 a scaled value can cross a threshold."""
    name, hyperparameters = choice
    if name == BLEND:
        return [("estimate", _make_blend(task, settings, hyperparameters))]
    kind = find_estimator(task, name)
    estimator = kind.create()
    allowed = estimator.get_params()
    try:
        estimator.set_params(**({"random_state": settings.seed} if "random_state" in allowed else {}) | hyperparameters)
    except ValueError as error:
        unknown = [repr(key) for key in hyperparameters if key not in allowed]
        message = f"config/model.yaml: {', '.join(unknown)} is no hyperparameter of {name}"
        raise ProjectError(f"{message}; it has {', '.join(sorted(allowed))}.") from error
    if task == "classification" and not hasattr(estimator, "predict_proba"):
        raise ProjectError(
            f"{name} has no predict_proba, and a classification needs probabilities: choose another "
            "estimator in config/model.yaml, or wrap it in a CalibratedClassifierCV in modeling/estimators.py."
        )
    return [*([("scale", StandardScaler())] if kind.scaled else []), ("estimate", estimator)]


def _make_blend(task: Task, settings: ModelSettings, members: dict[str, dict[str, Any]]) -> Any:
    choices = [Choice(name, {key: own[key] for key in own if key != WEIGHT}) for name, own in members.items()]
    estimators = [(choice.estimator, Pipeline(_make_estimator(task, settings, choice))) for choice in choices]
    # skl2onnx 1.20 takes weights as an array alone, and probabilities that are not flat.
    weights = np.array([own[WEIGHT] for own in members.values()])
    if task == "regression":
        return VotingRegressor(estimators, weights=weights)
    return VotingClassifier(estimators, weights=weights, voting="soft", flatten_transform=False)


def make_selector(settings: SelectionSettings, task: Task, features: int) -> Any | None:
    """What drops features that never change, or all but the k with the highest F statistic; None to keep all."""
    # There is nothing to choose from one, and skl2onnx 1.20 writes a selector of one wrongly.
    if settings.method == "none" or features == 1:
        return None
    if settings.method == "variance":
        return VarianceThreshold()
    return SelectKBest(f_classif if task == "classification" else f_regression, k=min(settings.k, features))
