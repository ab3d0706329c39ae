"""What `train` refuses, and estimators of one's own."""

from typing import Any

import pytest
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.estimators import ESTIMATORS, EstimatorKind
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import change_config, read_files, toy_rows, write_raw


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": "ridge"}, r"estimator 'ridge' is none of "),
        (
            {"hyperparameters": {"logistic_regression": {"depth": 3}}},
            r"cannot be trained with .*Invalid parameter 'depth'",
        ),
        ({"hyperparameters": {"logistic_regression": {"C": -1}}}, r"cannot be trained with"),
        ({"gate": {"metric": "rmse", "minimum": 1}}, r"gate.metric 'rmse' is none of "),
        ({"decision": {"best_for": "roc_auc"}}, r"best_for 'roc_auc' judges no labels"),
        ({"estimator": "constant"}, r"does not convert to ONNX; choose another"),
    ],
)
def test_a_wrong_setting_is_named_and_the_former_candidate_stays(
    trained_toy: Project, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ESTIMATORS["classification"], "constant", EstimatorKind(DummyClassifier))
    before = read_files(trained_toy.candidate)
    with pytest.raises(ProjectError, match=message):
        train_model(change_config(trained_toy, "model", **changes))
    assert read_files(trained_toy.candidate) == before


def test_data_that_is_not_prepared_or_of_one_class_is_refused(toy: Project) -> None:
    with pytest.raises(ProjectError, match="run the `data` stage first"):
        train_model(toy)
    write_raw(toy.root, [line.replace("small", "big") for line in toy_rows(100)])
    prepare_data(toy)
    with pytest.raises(ProjectError, match="All training rows have the same kind: 'big'"):
        train_model(toy)
    assert not toy.candidate.exists()


def test_a_split_without_rows_is_named(toy: Project) -> None:
    project = change_config(toy, "pipeline", split={"validation": 1e-9, "test": 0.3, "seed": 1})
    prepare_data(project)
    with pytest.raises(ProjectError, match="The validation split has no rows"):
        train_model(project)


def test_an_estimator_of_your_own_needs_one_entry(prepared: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS["classification"], "naive_bayes", EstimatorKind(GaussianNB, scaled=True))
    manifest = train_model(change_config(prepared, "model", estimator="naive_bayes"))
    assert manifest.estimator == "naive_bayes"
