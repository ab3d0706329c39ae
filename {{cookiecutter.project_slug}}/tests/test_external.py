"""`train --onnx`: a model that was trained elsewhere takes the same way as any other."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper
from sklearn.linear_model import LogisticRegression

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.dataset import read_matrix
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.prediction import predict_file
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import TOY_SCHEMA, change_config

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
    assert evaluate_model(prepared).metrics["test"]["accuracy"] > 0.8
    assert promote_model(prepared) == "v1"
    registry = Registry(prepared.models)
    files = registry.manifest("v1").files
    assert {"model.onnx", "golden.json"} <= files.keys()
    assert "model.skops" not in files
    card = (registry.folder("v1") / "model_card.md").read_text(encoding="utf-8")
    assert "\nIt came as an ONNX file; there is no scikit-learn model to compare it with.\n" in card
    assert predict_file(prepared, prepared.raw / "rows.csv", prepared.root / "scored.csv").scored == 400


def test_a_regression_gives_values(toy: Project) -> None:
    change_config(toy, "schema", **TOY_SCHEMA | {"task": "regression", "target": "size"})
    project = change_config(toy, "model", gate={"metric": "rmse", "minimum": 1000})
    prepare_data(project)
    weights = np.zeros((read_matrix(project, "train")[0].shape[1], 1))
    train_model(project, write_linear(project.root / "flat.onnx", weights, [45.0], "Identity", "float[rows, features]"))
    assert evaluate_model(project).metrics["test"]["r2"] < 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"given": "float[rows, 5]"}, r"a single input, float32 of shape \[rows, 7\].*Got: 7 Expected: 5"),
        ({"given": "double[rows, 7]"}, r"a single input, float32 of .*expected: \(tensor\(double\)\)"),
        ({"given": "float[rows, 7] other, float[rows, 7]"}, r"a single input, float32 of .*'given'"),
        ({"given": "float[1, 7]"}, r"cannot score \d+ rows, or one"),
        ({"weights": np.zeros((7, 3))}, r"shape \(\d+, 3\) .*a probability for each of 'big', 'small'"),
        ({"last": "Identity", "bias": [2.0, 2.0]}, "no probabilities: rows sum to 4 to 4; add a softmax"),
        ({"last": "Log"}, "no finite number for .*a missing number .*as NaN"),
    ],
)
def test_a_model_that_does_not_fit_is_named_and_nothing_is_written(
    prepared: Project, changes: dict[str, Any], message: str
) -> None:
    path = write_linear(prepared.root / "mine.onnx", **{"weights": np.zeros((7, 2))} | changes)
    with pytest.raises(ProjectError, match=message):
        train_model(prepared, path)
    assert not prepared.candidate.exists()


def test_a_file_that_is_none_is_named(prepared: Project) -> None:
    (prepared.root / "mine.onnx").write_text("nothing")
    with pytest.raises(ProjectError, match=r"mine\.onnx cannot be read as an ONNX file"):
        train_model(prepared, prepared.root / "mine.onnx")
    with pytest.raises(ProjectError, match=r"other\.onnx does not exist"):
        train_model(prepared, prepared.root / "other.onnx")
