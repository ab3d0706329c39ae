"""The exported model against the one it was made from; and `train --onnx`, a model from elsewhere in its place."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.linear_model import LogisticRegression

from {{ cookiecutter.__package }}.config import ParitySettings, Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.features import engineer_features, plan_features
from {{ cookiecutter.__package }}.modeling.dataset import read_dataset, read_matrix
from {{ cookiecutter.__package }}.modeling.estimators import Choice, fit_pipeline
from {{ cookiecutter.__package }}.modeling.export import compare_scores
from {{ cookiecutter.__package }}.modeling.model import Scores, load_model
from {{ cookiecutter.__package }}.modeling.prediction import predict_file
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.report import read_evaluation
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.schema import Task

from .toys import TOY_SCHEMA, change_config, measure

SETTINGS = ParitySettings()
SMALL = {"random_forest": {"n_estimators": 20}, "hist_gradient_boosting": {"max_iter": 5}}


@pytest.mark.parametrize(
    ("task", "estimator"),
    [
        ("classification", "logistic_regression"),
        ("classification", "random_forest"),
        ("classification", "hist_gradient_boosting"),
        ("regression", "ridge"),
        ("regression", "random_forest"),
        ("regression", "hist_gradient_boosting"),
    ],
)
def test_each_estimator_exports_to_a_model_that_agrees(toy: Project, task: Task, estimator: str) -> None:
    target, metric = ("kind", "log_loss") if task == "classification" else ("size", "rmse")
    change_config(toy, "schema", **TOY_SCHEMA | {"task": task, "target": target})
    gate = {"metric": metric, "minimum": 1e9}
    project = change_config(toy, "model", estimator=estimator, hyperparameters=SMALL, gate=gate)
    prepare_data(project)
    manifest = train_model(project)
    assert manifest.parity.rows > 0
    rows, plan = read_dataset(project.splits, ("train", "validation"), project.schema), plan_features(project.schema)
    choice, given = Choice(estimator, SMALL.get(estimator, {})), engineer_features(rows.columns, plan)
    pipeline = fit_pipeline(project.schema, project.model, plan, rows, given, choice)
    matrix, _ = read_matrix(project, "test")
    expected = pipeline.predict_proba(matrix) if task == "classification" else pipeline.predict(matrix)
    np.testing.assert_allclose(load_model(project.candidate).score(matrix), expected, rtol=1e-4, atol=1e-5)


def _probabilities(*rows: list[float]) -> NDArray[np.float64]:
    """A few rows of their own among 10,000 that all say the same."""
    return np.array([*rows, *[[0.9, 0.1]] * (10_000 - len(rows))])


ALIKE = _probabilities()


@pytest.mark.parametrize(
    ("onnx", "sklearn", "reason"),
    [
        (ALIKE + np.array([0.01, -0.01]), ALIKE, "further apart than parity.tolerance"),
        (_probabilities([0.499, 0.501]), _probabilities([0.501, 0.499]), "of 10000 held-out rows, 1 get another label"),
        (ALIKE[:, :1], ALIKE, "scores of shape"),
        (np.where(np.arange(100) % 9, 1.0, np.nan), np.ones(100), "further apart"),
        # A tie that falls the other way, and a difference that is rare enough:
        (_probabilities([0.5 - 1e-9, 0.5]), _probabilities([0.5, 0.5 - 1e-9]), ""),
        (_probabilities([0.89, 0.11]), ALIKE, ""),
    ],
)
def test_scores_that_differ_too_much_are_refused(onnx: Scores, sklearn: Scores, reason: str) -> None:
    with pytest.raises(ProjectError, match=reason) if reason else nullcontext():
        assert compare_scores(onnx, sklearn, np.arange(len(sklearn)), SETTINGS).rows == len(sklearn)


LINEAR = """<ir_version: 8, opset_import: ["": 17]> linear (INPUT given) => (float[rows, outputs] scores) {
    matrix = Cast <to = 1> (given)
    gaps = IsNaN(matrix)
    filled = Where(gaps, missing, matrix)
    logits = Gemm(filled, weights, bias)
    scores = LAST(logits)
}"""


def write_linear(
    path: Path, weights: Any, bias: Any = (0.0,), last: str = "Softmax", given: str = "float[rows, 7]"
) -> Path:
    """An ONNX file that puts 40 in place of NaN, multiplies, adds, and ends with one more operation."""
    model = onnx.parser.parse_model(LINEAR.replace("INPUT", given).replace("LAST", last))
    for name, values in {"weights": weights, "bias": bias, "missing": 40.0}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype=np.float32), name))
    onnx.save(model, path)
    return path


def test_it_is_measured_promoted_and_served_as_any_other(prepared: Project) -> None:
    matrix, target = read_matrix(prepared, "train")
    model = LogisticRegression(max_iter=1000).fit(np.where(np.isnan(matrix), 40, matrix), target)
    weights = np.hstack([-model.coef_.T, model.coef_.T]) / 2
    path = write_linear(prepared.root / "mine.onnx", weights, np.array([-1, 1]) * model.intercept_ / 2)
    assert train_model(prepared, path).estimator == "onnx:mine"
    measure(prepared)
    assert read_evaluation(prepared).metrics["test"]["accuracy"] > 0.8
    assert promote_model(prepared) == "models/latest is now v1"
    registry = Registry(prepared.models)
    files = registry.manifest("v1").files
    assert {"model.onnx", "golden.json"} <= files.keys()
    card = (registry.folder("v1") / "model_card.md").read_text(encoding="utf-8")
    assert "| ONNX and scikit-learn | from elsewhere |" in card
    assert predict_file(prepared, prepared.raw / "rows.csv", prepared.root / "scored.csv").scored == 400


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"given": "float[rows, 5]", "weights": np.zeros((5, 2))},
            r"a single input, float32 of shape \[rows, 7\].*Got: 7 Expected: 5",
        ),
        ({"given": "double[rows, 7]"}, r"a single input, float32 of .*expected: \(tensor\(double\)\)"),
        ({"given": "float[rows, 7] other, float[rows, 7]"}, r"a single input, float32 of .*'given'"),
        ({"given": "float[1, 7]"}, r"no ONNX file that scores \d+ rows, or one"),
        ({"weights": np.zeros((7, 3))}, r"shape \(\d+, 3\); it must be .* a probability for each label"),
        ({"last": "Identity", "bias": [2.0, 2.0]}, "no probabilities: rows do not sum to 1; add a softmax"),
        ({"last": "Log"}, "not always a finite number; a missing number .*as NaN"),
    ],
)
def test_a_model_that_does_not_fit_is_named_and_nothing_is_written(
    prepared: Project, changes: dict[str, Any], message: str
) -> None:
    path = write_linear(prepared.root / "mine.onnx", **{"weights": np.zeros((7, 2))} | changes)
    with pytest.raises(ProjectError, match=message):
        train_model(prepared, path)
    assert not prepared.candidate.exists()
