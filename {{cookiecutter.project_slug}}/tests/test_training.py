"""What `train` refuses, and what the search sees."""

from typing import Any

import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.data.splitting import read_split
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.estimators import ESTIMATORS, EstimatorKind
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import change_config, read_files, toy_rows, write_raw


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": "ridge"}, r"estimator 'ridge' is none of "),
        ({"hyperparameters": {"logistic_regression": {"depth": 3}}}, r"'depth' is no hyperparameter of"),
        ({"hyperparameters": {"logistic_regression": {"C": -1}}}, r"cannot be trained with"),
        ({"gate": {"metric": "rmse", "minimum": 1}}, r"gate.metric 'rmse' is none of "),
        (
            {"estimator": "sklearn.naive_bayes.GaussianNB", "search": {"trials": 3}},
            r"search.space has no sklearn.naive",
        ),
        ({"estimator": "no_probabilities"}, r"no_probabilities has no predict_proba.*in a CalibratedClassifierCV"),
    ],
)
def test_a_wrong_setting_is_named_and_the_former_candidate_stays(
    trained_toy: Project, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ESTIMATORS["classification"], "no_probabilities", EstimatorKind(RidgeClassifier))
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
    registered = []
    kind = EstimatorKind(GaussianNB, scaled=True, register_converter=lambda: registered.append("mine"))
    monkeypatch.setitem(ESTIMATORS["classification"], "naive_bayes", kind)
    manifest = train_model(change_config(prepared, "model", estimator="naive_bayes"))
    assert (manifest.estimator, registered) == ("naive_bayes", ["mine"])


def test_the_search_takes_what_is_best_and_reads_no_test_row(prepared: Project) -> None:
    space = {"logistic_regression": {"C": [1e-9, 1.0]}}
    searched = change_config(prepared, "model", search={"trials": 2, "space": space})
    assert train_model(searched).hyperparameters["C"] == 1.0
    before = read_files(prepared.candidate)
    for path in (prepared.splits / "test").iterdir():
        read_split(prepared.splits, "test").head(0).write_parquet(path)
    train_model(searched)
    assert read_files(prepared.candidate) == before
