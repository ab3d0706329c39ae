"""The gate, and that it refuses."""

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data_processing.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError, PromotionRefusedError
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.pipeline import run_pipeline
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import TOY_SCHEMA, change_config, read_files

WEAK = {"logistic_regression": {"C": 1e-4}}
STRONG = {"logistic_regression": {"C": 10.0}}


def _challenge(project: Project) -> str:
    train_model(project)
    evaluate_model(project)
    return promote_model(project)


def test_the_first_model_needs_only_the_minimum(trained_toy: Project) -> None:
    assert Registry(trained_toy.models).latest() == "v1"


def test_a_model_beyond_the_minimum_is_refused_with_the_number_and_the_setting(toy: Project) -> None:
    strict = change_config(toy, "model", gate={"metric": "log_loss", "minimum": 0.01})
    with pytest.raises(PromotionRefusedError, match=r"test log_loss 0\.\d+ is above gate.minimum 0.01"):
        run_pipeline(strict)
    assert Registry(toy.models).versions() == []


def test_a_better_model_becomes_latest(toy: Project) -> None:
    run_pipeline(change_config(toy, "model", hyperparameters=WEAK))
    assert _challenge(change_config(toy, "model", hyperparameters=STRONG)) == "v2"
    assert Registry(toy.models).latest() == "v2"


def test_a_worse_model_is_refused_and_latest_stays(toy: Project) -> None:
    run_pipeline(change_config(toy, "model", hyperparameters=STRONG))
    before = read_files(toy.models / "latest")
    with pytest.raises(PromotionRefusedError, match=r"is not better than the 0\.\d+ of v1"):
        _challenge(change_config(toy, "model", hyperparameters=WEAK))
    assert read_files(toy.models / "latest") == before
    assert Registry(toy.models).versions() == ["v1"]


def test_a_tie_is_refused(trained_toy: Project) -> None:
    with pytest.raises(PromotionRefusedError, match="is not better"):
        _challenge(trained_toy)


def test_the_pipeline_says_so_where_nothing_changed(trained_toy: Project) -> None:
    assert "stays v1" in run_pipeline(trained_toy)
    assert Registry(trained_toy.models).versions() == ["v1"]


def test_a_candidate_that_was_not_evaluated_is_refused(trained_toy: Project) -> None:
    train_model(change_config(trained_toy, "model", hyperparameters=STRONG))
    with pytest.raises(ProjectError, match="run the `evaluate` stage again"):
        promote_model(trained_toy)


def test_a_candidate_that_was_changed_is_refused(trained_toy: Project) -> None:
    train_model(change_config(trained_toy, "model", hyperparameters=STRONG))
    evaluate_model(trained_toy)
    (trained_toy.candidate / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ProjectError, match="is not the file its manifest describes"):
        promote_model(trained_toy)


def test_a_candidate_of_other_data_is_not_evaluated(trained_toy: Project) -> None:
    other = change_config(trained_toy, "pipeline", split={"seed": 3})
    prepare_data(other)
    with pytest.raises(ProjectError, match="run the `train` stage again"):
        evaluate_model(other)


def test_a_damaged_champion_stops_the_comparison(trained_toy: Project) -> None:
    train_model(change_config(trained_toy, "model", hyperparameters=STRONG))
    evaluate_model(trained_toy)
    (Registry(trained_toy.models).folder("v1") / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ProjectError, match="is not the file its manifest describes"):
        promote_model(trained_toy)


def test_another_table_than_that_of_latest_needs_a_word(trained_toy: Project) -> None:
    columns = {name: column for name, column in TOY_SCHEMA["columns"].items() if name != "age"}
    changed = change_config(trained_toy, "schema", columns=columns)
    with pytest.raises(PromotionRefusedError, match="run `promote --new-schema`"):
        run_pipeline(changed)
    assert promote_model(changed, new_schema=True) == "v2"
