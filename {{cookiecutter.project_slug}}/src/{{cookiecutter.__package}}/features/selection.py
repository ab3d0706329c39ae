"""Which engineered features reach the estimator."""

from typing import Any

from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif, f_regression

from ..config import SelectionSettings
from ..schema import Task


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
