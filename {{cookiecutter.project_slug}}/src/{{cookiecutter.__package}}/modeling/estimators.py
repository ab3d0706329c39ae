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
_BOOSTING = (
    "numpy.dtype",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
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


def make_pipeline(task: Task, settings: ModelSettings, features: int, hyperparameters: dict[str, Any]) -> Pipeline:
    """An unfitted pipeline: impute, select, scale where needed, estimate.

    Missing numbers are imputed for every estimator, also for those that know NaN: ONNX sends NaN the
    other way down a forest. Only linear models are scaled: in float32 a scaled value can cross a
    tree's threshold. Raises ProjectError where the estimator or a hyperparameter does not exist, or a classifier
    gives no probabilities.
    """
    kind = find_estimator(task, settings.estimator)
    steps: list[tuple[str, Any]] = [("impute", SimpleImputer(strategy="median", keep_empty_features=True))]
    selector = make_selector(settings.features.selection, task, features)
    if selector is not None:
        steps.append(("select", selector))
    if kind.scaled:
        steps.append(("scale", StandardScaler()))
    allowed = kind.create().get_params()
    unknown = [name for name in hyperparameters if name not in allowed]
    if unknown:
        raise ProjectError(
            f"config/model.yaml: {', '.join(map(repr, unknown))} is no hyperparameter of {settings.estimator}; "
            f"it has {', '.join(sorted(allowed))}."
        )
    seed = {"random_state": settings.seed} if "random_state" in allowed else {}
    pipeline = Pipeline([*steps, ("estimate", kind.create(**seed | hyperparameters))])
    if task == "classification" and not hasattr(pipeline, "predict_proba"):
        raise ProjectError(
            f"{settings.estimator} has no predict_proba, and a classification needs probabilities: choose another "
            "estimator in config/model.yaml, or wrap it in a CalibratedClassifierCV in modeling/estimators.py."
        )
    return pipeline


def make_selector(settings: SelectionSettings, task: Task, features: int) -> Any | None:
    """A scikit-learn selector, or None to keep all `features`.

    `variance` drops features that never change; `k_best` keeps the k with the highest F statistic.
    """
    # There is nothing to choose from one, and skl2onnx 1.20 writes a selector of one wrongly.
    if settings.method == "none" or features == 1:
        return None
    if settings.method == "variance":
        return VarianceThreshold()
    score = f_classif if task == "classification" else f_regression
    return SelectKBest(score, k=min(settings.k, features))
