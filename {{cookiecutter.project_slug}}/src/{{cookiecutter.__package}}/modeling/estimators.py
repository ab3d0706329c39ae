"""The estimators by name, and the pipeline around them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ..config import ModelSettings, SelectionSettings
from ..errors import ProjectError
from ..schema import Task
from .dataset import Rows


@dataclass(frozen=True)
class EstimatorKind:
    """A class with scikit-learn's interface, and what else training and export have to know of it.

    `scaled`: it needs features of one scale. `trusted`: types that a skops file of it may hold besides those that
    skops knows to be harmless. `register_converter`: called before the export, it tells skl2onnx of the class.
    """

    create: Any
    scaled: bool = False
    trusted: tuple[str, ...] = ()
    register_converter: Callable[[], None] | None = None


TRUSTED = (
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
)
"""What every skops file may hold besides. This and `trusted` are code, so that a file cannot widen them."""

_TREE = ("numpy.dtype", "sklearn.tree._tree.Tree")
_LOSSES = ("HalfBinomialLoss", "HalfMultinomialLoss", "HalfSquaredError")
_BOOSTING = (
    "numpy.dtype",
    *(f"sklearn._loss.link.{name}" for name in ("IdentityLink", "Interval", "LogitLink", "MultinomialLogit")),
    *(f"sklearn._loss.loss.{name}" for name in _LOSSES),
    *(f"sklearn._loss._loss.Cy{name}" for name in _LOSSES),
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)

ESTIMATORS: dict[Task, dict[str, EstimatorKind]] = {
    "classification": {
        "logistic_regression": EstimatorKind(LogisticRegression, scaled=True),
        "random_forest": EstimatorKind(RandomForestClassifier, trusted=_TREE),
        "hist_gradient_boosting": EstimatorKind(HistGradientBoostingClassifier, trusted=_BOOSTING),
    },
    "regression": {
        "ridge": EstimatorKind(Ridge, scaled=True),
        "random_forest": EstimatorKind(RandomForestRegressor, trusted=_TREE),
        "hist_gradient_boosting": EstimatorKind(HistGradientBoostingRegressor, trusted=_BOOSTING),
    },
}


def find_estimator(task: Task, name: str) -> EstimatorKind:
    """The estimator of that name. Raises ProjectError where the task has none of that name."""
    if name not in (known := ESTIMATORS[task]):
        raise ProjectError(
            f"config/model.yaml: estimator {name!r} is none of {', '.join(known)}, the estimators for a {task}."
        )
    return known[name]


def fit_pipeline(task: Task, settings: ModelSettings, training: Rows, hyperparameters: dict[str, Any]) -> Pipeline:
    """Impute, select, scale where needed, estimate.

    Missing numbers are imputed for every estimator, also for those that know NaN: ONNX sends NaN the
    other way down a forest. Only linear models are scaled: in float32 a scaled value can cross a
    tree's threshold. Raises ProjectError where the estimator or a hyperparameter does not exist or does not work, or
    a classifier gives no probabilities.
    """
    kind = find_estimator(task, settings.estimator)
    allowed = kind.create().get_params()
    unknown = [name for name in hyperparameters if name not in allowed]
    if unknown:
        raise ProjectError(
            f"config/model.yaml: {', '.join(map(repr, unknown))} is no hyperparameter of {settings.estimator}; "
            f"it has {', '.join(sorted(allowed))}."
        )
    seed = {"random_state": settings.seed} if "random_state" in allowed else {}
    steps = {
        "impute": SimpleImputer(strategy="median", keep_empty_features=True),
        "select": make_selector(settings.features.selection, task, training[0].shape[1]),
        "scale": StandardScaler() if kind.scaled else None,
        "estimate": kind.create(**seed | hyperparameters),
    }
    pipeline = Pipeline([(name, step) for name, step in steps.items() if step is not None])
    if task == "classification" and not hasattr(pipeline, "predict_proba"):
        raise ProjectError(
            f"{settings.estimator} has no predict_proba, and a classification needs probabilities: choose another "
            "estimator in config/model.yaml, or wrap it in a CalibratedClassifierCV in modeling/estimators.py."
        )
    try:
        return pipeline.fit(*training)
    except ValueError as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"{settings.estimator} cannot be trained with {hyperparameters}: {reason}") from error


def make_selector(settings: SelectionSettings, task: Task, features: int) -> Any | None:
    """What drops features that never change, or all but the k with the highest F statistic; None to keep all."""
    # There is nothing to choose from one, and skl2onnx 1.20 writes a selector of one wrongly.
    if settings.method == "none" or features == 1:
        return None
    if settings.method == "variance":
        return VarianceThreshold()
    return SelectKBest(f_classif if task == "classification" else f_regression, k=min(settings.k, features))
