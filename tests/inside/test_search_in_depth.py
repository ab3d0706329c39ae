"""What `train` chooses, from which rows, and that the choice is exported as it is."""

from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pytest
from demo_project.config import ParitySettings, Project
from demo_project.features import FeaturePlan
from demo_project.modeling.dataset import Dataset
from demo_project.modeling.estimators import Choice, fit_pipeline
from demo_project.modeling.export import export_pipeline
from demo_project.modeling.search import Try
from demo_project.modeling.training import train_model
from demo_project.schema import Schema, Task

from .test_search import SMALL, settings
from .toys import change_config


@pytest.mark.parametrize(("gains", "is_sure"), [([0.01, 0.02, 0.01, 0.02], True), ([0.1, -0.1, 0.1, 0.0], False)])
def test_only_a_gain_beyond_its_standard_error_is_sure(gains: list[float], is_sure: bool) -> None:
    usual = Try(Choice("random_forest", {}), np.array([0.7, 0.8, 0.9, 0.6]), np.empty(0))
    assert usual._replace(gains=usual.gains + gains).is_surely_better(usual) == is_sure
    assert not usual._replace(gains=usual.gains - gains).is_surely_better(usual)


@pytest.mark.parametrize("estimator", ["logistic_regression", "hist_gradient_boosting"])
def test_calibrated_probabilities_are_exported(prepared: Project, estimator: str) -> None:
    changed = change_config(prepared, "model", estimator=estimator, hyperparameters=SMALL, calibration="sigmoid")
    assert train_model(changed).parity.largest_difference < 1e-4


class Places(NamedTuple):
    """As much of a plan as estimators look at."""

    names: tuple[str, ...]
    codes: tuple[int, ...]
    texts: tuple[tuple[int, int], ...]


@pytest.mark.parametrize(("task", "labels"), [("classification", 2), ("classification", 3), ("regression", 0)])
def test_a_blend_codes_and_texts_are_learned_and_exported(task: Task, labels: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    plain, texts = (
        generator.normal(size=(400, 2)),
        generator.random((400, 40)) * (generator.random((400, 40)) < 0.2),
    )
    codes = generator.integers(-1, 50, (400, 1))
    matrix = np.hstack([plain, codes, texts]).astype(np.float32)
    matrix[::7, 0] = np.nan
    effect = generator.normal(size=51)[codes[:, 0]] + texts[:, 3]
    target = np.digitize(effect, np.quantile(effect, np.arange(1, labels) / labels)) if labels else effect
    plan = cast(FeaturePlan, Places(tuple(map(str, range(43))), (2,), ((3, 43),)))
    names = "logistic_regression" if labels else "ridge", "random_forest", "hist_gradient_boosting"
    choice = Choice("blend", {name: {"weight": 0.3, **SMALL.get(name, {})} for name in names})
    columns = {"y": {"type": "category", "categories": [*"abc"[:labels]]} if labels else {"type": "number"}}
    schema = Schema.model_validate({"task": task, "target": "y", "columns": columns | {"x": {"type": "number"}}})
    pipeline = fit_pipeline(schema, settings(), plan, Dataset({}, target), matrix, choice)
    unseen = matrix.copy()
    unseen[::2, 2] = 60_000
    parity, _ = export_pipeline(pipeline, (unseen, target), ParitySettings(), tmp_path / "model.onnx")
    assert parity.rows == len(unseen)
