"""Runs on this disk: what they tell, and that they survive what stops them."""

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from {{ cookiecutter.__package }}.cli import app
from {{ cookiecutter.__package }}.config import ROOT_VARIABLE, Project
from {{ cookiecutter.__package }}.errors import ProjectError, PromotionRefusedError
from {{ cookiecutter.__package }}.modeling.manifest import read_manifest
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.report import read_evaluation
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.tracking.run import RUN_FILE, find_run, list_runs, open_run

from .toys import change_config, make_candidate


def _log_run(project: Project, value: float, **parameters: Any) -> str:
    with open_run(project) as run:
        run.log_parameters({"estimator": "ridge", **parameters})
        run.log_metrics({"validation_log_loss": value, "test_log_loss": 0.123})
        return run.folder.name


def _ask(project: Project, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["runs", *arguments], env={ROOT_VARIABLE: str(project.root)})


def test_a_run_tells_settings_metrics_pictures_and_what_became_of_it(trained_toy: Project) -> None:
    weak = {"logistic_regression": {"C": 1e-6}}
    tracked = make_candidate(trained_toy, hyperparameters=weak)
    evaluation = read_evaluation(tracked)
    with pytest.raises(PromotionRefusedError):
        promote_model(tracked)
    (_, run) = list_runs(tracked)
    assert (run.state, run.version) == ("refused", "")
    assert "log_loss" in run.reason
    promote_model(tracked, force_reason="to have two")
    (_, run) = list_runs(tracked)
    assert (run.state, run.version) == ("promoted", "v2")
    assert run.parameters["estimator"] == "logistic_regression"
    assert run.parameters["data"] == read_manifest(tracked.candidate).data.sha256
    for split in ("validation", "test"):
        assert run.metrics[f"{split}_log_loss"] == evaluation.metrics[split]["log_loss"]
    # Its own copies, which the next evaluation does not draw over.
    assert any((run.folder / "files").rglob("*.png"))


def test_an_error_ends_a_run_as_failed_with_the_reason(prepared: Project) -> None:
    with pytest.raises(ProjectError, match="cannot be trained"):
        train_model(change_config(prepared, "model", hyperparameters={"logistic_regression": {"C": -1}}))
    (run,) = list_runs(prepared)
    assert run.state == "failed"
    assert "cannot be trained" in run.reason


def test_a_stage_finds_the_newest_run_that_made_the_candidate(toy: Project) -> None:
    for _ in range(2):
        with open_run(toy) as run:
            run.reach("trained", candidate="candidate")
    for candidate in ("candidate", "trained elsewhere"):
        with open_run(toy, candidate) as run:
            run.reach("evaluated")
    assert [run.state for run in list_runs(toy)] == ["trained", "evaluated", "evaluated"]


def test_the_list_shows_what_may_be_chosen_by_and_not_the_test_rows(toy: Project) -> None:
    assert _ask(toy).exit_code == 0
    name = _log_run(toy, 0.4567, data="abcdef0123456789")
    result = _ask(toy)
    assert result.exit_code == 0
    assert [word in result.output for word in (name, "0.4567", "abcdef01", "0.123")] == [True] * 3 + [False]


def test_a_run_is_shown_whole_and_two_are_compared(toy: Project) -> None:
    first, second = _log_run(toy, 0.4567, C=0.25), _log_run(toy, 0.4567, C=0.5)
    assert "0.1230" in _ask(toy, "show", first).output
    compared = _ask(toy, "diff", first, second).output.splitlines()
    assert [line.split()[0] for line in compared if "differs" in line] == ["C"]
    with pytest.raises(ProjectError, match="2 runs have a name that starts with 2"):
        find_run(toy, "2")


def test_a_damaged_run_is_named_with_what_helps(toy: Project) -> None:
    name = _log_run(toy, 0.5)
    (toy.reports / "runs" / name / RUN_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(ProjectError, match=rf"{name}.run\.json is damaged; remove the run's folder"):
        list_runs(toy)
