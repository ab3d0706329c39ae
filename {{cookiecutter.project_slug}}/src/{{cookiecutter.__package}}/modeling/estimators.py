"""The estimators by name, and the pipeline around them."""

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
    """A scikit-learn class, and whether it needs features of one scale."""

    create: Any
    scaled: bool = False


ESTIMATORS: dict[Task, dict[str, EstimatorKind]] = {
    "classification": {
        "logistic_regression": EstimatorKind(LogisticRegression, scaled=True),
        "random_forest": EstimatorKind(RandomForestClassifier),
        "hist_gradient_boosting": EstimatorKind(HistGradientBoostingClassifier),
    },
    "regression": {
        "ridge": EstimatorKind(Ridge, scaled=True),
        "random_forest": EstimatorKind(RandomForestRegressor),
        "hist_gradient_boosting": EstimatorKind(HistGradientBoostingRegressor),
    },
}


def make_pipeline(task: Task, settings: ModelSettings, features: int, hyperparameters: dict[str, Any]) -> Pipeline:
    """An unfitted pipeline: impute, select, scale where needed, estimate.

    Missing numbers are imputed for every estimator, also for those that know NaN: ONNX sends NaN the
    other way down a forest. Only linear models are scaled: in float32 a scaled value can cross a
    tree's threshold.

    Raises:
        ProjectError: the estimator or one of its hyperparameters does not exist.
    """
    known = ESTIMATORS[task]
    if settings.estimator not in known:
        raise ProjectError(
            f"config/model.yaml: estimator {settings.estimator!r} is none of {', '.join(known)}, "
            f"the estimators for a {task}."
        )
    kind = known[settings.estimator]
    steps: list[tuple[str, Any]] = [("impute", SimpleImputer(strategy="median", keep_empty_features=True))]
    selector = make_selector(settings.features.selection, task, features)
    if selector is not None:
        steps.append(("select", selector))
    if kind.scaled:
        steps.append(("scale", StandardScaler()))
    steps.append(("estimate", _make_estimator(kind, settings, hyperparameters)))
    return Pipeline(steps)


def _make_estimator(kind: EstimatorKind, settings: ModelSettings, hyperparameters: dict[str, Any]) -> Any:
    allowed = kind.create().get_params()
    unknown = [name for name in hyperparameters if name not in allowed]
    if unknown:
        raise ProjectError(
            f"config/model.yaml: {', '.join(map(repr, unknown))} is no hyperparameter of {settings.estimator}; "
            f"it has {', '.join(sorted(allowed))}."
        )
    return kind.create(**{"random_state": settings.seed} | hyperparameters)


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
