"""`train --onnx`: a model that was trained elsewhere takes the same way as any other."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
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

FEATURES = 7


@pytest.fixture
def prepared(toy: Project) -> Project:
    prepare_data(toy)
    return toy


def write_linear(
    path: Path,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    last: str = "Softmax",
    input_type: int = TensorProto.FLOAT,
    rows: int | str = "rows",
    missing: float = 40.0,
) -> Path:
    """An ONNX file that puts `missing` in place of NaN, multiplies, adds, and ends with one more operation."""
    nodes = [
        helper.make_node("Cast", ["given"], ["matrix"], to=TensorProto.FLOAT),
        helper.make_node("IsNaN", ["matrix"], ["gaps"]),
        helper.make_node("Where", ["gaps", "missing", "matrix"], ["filled"]),
        helper.make_node("Gemm", ["filled", "weights", "bias"], ["logits"]),
        helper.make_node(last, ["logits"], ["scores"]),
    ]
    constants = {"weights": weights, "bias": bias, "missing": np.array(missing)}
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("given", input_type, [rows, len(weights)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_it_is_measured_promoted_and_served_as_any_other(prepared: Project) -> None:
    matrix, target = read_matrix(prepared, "train")
    filled = np.where(np.isnan(matrix), 40, matrix)
    model = LogisticRegression(max_iter=1000).fit(filled, target)
    weights = np.hstack([-model.coef_.T, model.coef_.T]) / 2
    path = write_linear(prepared.root / "mine.onnx", weights, np.array([-1, 1]) * model.intercept_ / 2)
    assert train_model(prepared, path).estimator == "onnx:mine"
    assert evaluate_model(prepared).metrics["test"]["accuracy"] > 0.8
    assert promote_model(prepared) == "v1"
    files = Registry(prepared.models).manifest("v1").files
    assert {"model.onnx", "golden.json", "model_card.md"} <= files.keys()
    assert "model.skops" not in files
    assert predict_file(prepared, prepared.raw / "rows.csv", prepared.root / "scored.csv").scored == 400


def test_a_regression_gives_values(toy: Project) -> None:
    change_config(toy, "schema", **TOY_SCHEMA | {"task": "regression", "target": "size"})
    project = change_config(toy, "model", gate={"metric": "rmse", "minimum": 1000})
    prepare_data(project)
    features = read_matrix(project, "train")[0].shape[1]
    path = write_linear(project.root / "flat.onnx", np.zeros((features, 1)), np.array([45.0]), last="Identity")
    train_model(project, path)
    assert evaluate_model(project).metrics["test"]["r2"] < 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.zeros((5, 2))}, r"takes shape \['rows', 5\]; it needs a single input, float32 .*\[rows, 7\]"),
        ({"input_type": TensorProto.DOUBLE}, "takes DOUBLE; it needs a single input, float32"),
        ({"weights": np.zeros((FEATURES, 3))}, r"shape \(\d+, 3\) .*a probability for each of 'big', 'small'"),
        ({"last": "Identity", "bias": np.array([2.0, 2.0])}, "no probabilities: rows sum to 4 to 4; add a softmax"),
        ({"missing": np.nan, "weights": np.ones((FEATURES, 2))}, "no finite number for .*a missing number .*as NaN"),
        ({"rows": 1}, "cannot score .* rows, or one"),
    ],
)
def test_a_model_that_does_not_fit_is_named_and_nothing_is_written(
    prepared: Project, changes: dict[str, object], message: str
) -> None:
    settings = {"weights": np.zeros((FEATURES, 2)), "bias": np.zeros(1)} | changes
    path = write_linear(prepared.root / "mine.onnx", **settings)  # type: ignore[arg-type]
    with pytest.raises(ProjectError, match=message):
        train_model(prepared, path)
    assert not prepared.candidate.exists()


def test_a_file_that_is_none_is_named(prepared: Project) -> None:
    (prepared.root / "mine.onnx").write_text("nothing")
    with pytest.raises(ProjectError, match=r"mine\.onnx cannot be read as an ONNX file"):
        train_model(prepared, prepared.root / "mine.onnx")
    with pytest.raises(ProjectError, match=r"other\.onnx does not exist"):
        train_model(prepared, prepared.root / "other.onnx")
