"""The exported model against the one it was made from; and `train --onnx`, a model from elsewhere in its place."""

from pathlib import Path

import numpy as np
import pytest
from demo_project.config import Project
from demo_project.data.preparation import prepare_data
from demo_project.errors import ProjectError
from demo_project.modeling.dataset import read_matrix
from demo_project.modeling.evaluation import evaluate_model
from demo_project.modeling.export import export_pipeline
from demo_project.modeling.training import train_model
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from .test_export import LINEAR, SETTINGS, write_linear  # noqa: F401
from .toys import TOY_SCHEMA, change_config


def test_a_forest_without_an_imputer_is_refused(tmp_path: Path) -> None:
    # Missing numbers take the other branch in ONNX, without an error: the reason why each pipeline
    # imputes, and what the parity check is for.
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(600, 4)).astype(np.float32)
    target = (matrix[:, 0] > 0).astype(int)
    matrix[generator.random(matrix.shape) < 0.2] = np.nan
    forest = Pipeline([("estimate", RandomForestClassifier(20, random_state=0))]).fit(matrix, target)
    with pytest.raises(ProjectError, match=r"of 600 held-out rows, \d+ get another label"):
        export_pipeline(forest, (matrix, target), SETTINGS, tmp_path / "model.onnx")


def test_a_regression_gives_values(toy: Project) -> None:
    change_config(toy, "schema", **TOY_SCHEMA | {"task": "regression", "target": "size"})
    project = change_config(toy, "model", gate={"metric": "rmse", "minimum": 1000})
    prepare_data(project)
    weights = np.zeros((read_matrix(project, "train")[0].shape[1], 1))
    train_model(project, write_linear(project.root / "flat.onnx", weights, [45.0], "Identity", "float[rows, features]"))
    assert evaluate_model(project).metrics["test"]["r2"] < 0.1


def test_a_file_that_is_none_is_named(prepared: Project) -> None:
    (prepared.root / "mine.onnx").write_text("nothing")
    with pytest.raises(ProjectError, match=r"mine\.onnx is no ONNX file"):
        train_model(prepared, prepared.root / "mine.onnx")
    with pytest.raises(ProjectError, match=r"other\.onnx"):
        train_model(prepared, prepared.root / "other.onnx")
