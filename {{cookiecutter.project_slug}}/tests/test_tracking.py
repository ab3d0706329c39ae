"""Runs on this disk: what they tell, and that they survive what stops them."""

import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from {{ cookiecutter.__package }}.cli import app
from {{ cookiecutter.__package }}.config import ROOT_VARIABLE, Project
from {{ cookiecutter.__package }}.errors import ProjectError, PromotionRefusedError
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.tracking.events import (
    Event,
    Metrics,
    Parameters,
    Reached,
    Stored,
    Version,
)
from {{ cookiecutter.__package }}.tracking.listing import list_runs
from {{ cookiecutter.__package }}.tracking.local import (
    EVENTS_FILE,
    list_journals,
    runs_folder,
)

from .toys import change_config

WORSE = {"logistic_regression": {"C": 1e-6}}
SEARCH = {"trials": 3, "space": {"logistic_regression": {"C": [0.1, 1.0, 10.0]}}}


@pytest.fixture
def tracked(trained_toy: Project) -> Project:
    """A toy with a first version, whose runs are logged from now on."""
    # How fast this machine answers is not what is tested here.
    gate = trained_toy.model.gate.model_dump() | {"maximum_latency_ms": 10_000}
    return change_config(change_config(trained_toy, "tracking", enabled=True), "model", gate=gate)


def _only_run(project: Project) -> list[Event]:
    (journal,) = list_journals(project)
    return journal.events()


def _states(events: list[Event]) -> list[str]:
    return [event.state for event in events if isinstance(event, Reached)]


def _parameters(events: list[Event]) -> dict[str, Any]:
    return {name: value for event in events if isinstance(event, Parameters) for name, value in event.values.items()}


def test_a_run_tells_settings_metrics_pictures_and_the_version(tracked: Project) -> None:
    shutil.rmtree(tracked.models)
    train_model(tracked)
    evaluation = evaluate_model(tracked)
    promote_model(tracked)
    events = _only_run(tracked)
    parameters = _parameters(events)
    metrics = {name: value for event in events if isinstance(event, Metrics) for name, value in event.values.items()}
    assert parameters["estimator"] == "logistic_regression"
    assert parameters["data"] == evaluation.data
    assert metrics["test_log_loss"] == evaluation.metrics["test"]["log_loss"]
    assert metrics["validation_accuracy"] == evaluation.metrics["validation"]["accuracy"]
    assert [event.name for event in events if isinstance(event, Version)] == ["v1"]
    assert _states(events) == ["training", "trained", "evaluated", "promoted"]


def test_a_run_keeps_its_pictures_when_the_next_one_draws_others(tracked: Project) -> None:
    train_model(tracked)
    evaluate_model(tracked)
    train_model(change_config(tracked, "model", hyperparameters=WORSE))
    evaluate_model(Project(tracked.root))
    first, second = (
        [journal.file(event.file).read_bytes() for event in journal.events() if isinstance(event, Stored)]
        for journal in list_journals(tracked)
    )
    assert len(first) == len(second) > 3
    assert first[0] != second[0]


def test_a_run_names_the_commit_that_it_ran_from(tracked: Project) -> None:
    run_git = partial(subprocess.run, cwd=tracked.root, check=True, capture_output=True, text=True)
    run_git(["git", "init", "--quiet"])
    run_git(["git", "add", "config"])
    run_git(["git", "-c", "user.name=Me", "-c", "user.email=me@example.org", "commit", "--quiet", "--message=First"])
    commit = run_git(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
    train_model(tracked)
    train_model(change_config(tracked, "model", hyperparameters=WORSE))
    assert [_parameters(journal.events())["commit"] for journal in list_journals(tracked)] == [
        commit,
        f"{commit}-dirty",
    ]


def test_each_trial_of_a_search_is_a_step(tracked: Project) -> None:
    train_model(change_config(tracked, "model", search=SEARCH))
    searched = [event for event in _only_run(tracked) if isinstance(event, Metrics)]
    assert [event.step for event in searched] == [0, 1, 2]
    assert len({event.values["search_log_loss"] for event in searched}) == 3


def test_an_error_ends_a_run_as_failed_with_the_reason(tracked: Project) -> None:
    broken = change_config(tracked, "model", hyperparameters={"logistic_regression": {"C": -1}})
    with pytest.raises(ProjectError, match="cannot be trained"):
        train_model(broken)
    last = _only_run(tracked)[-1]
    assert isinstance(last, Reached)
    assert last.state == "failed"
    assert "cannot be trained" in last.reason


def test_a_refused_run_has_the_reasons_of_the_gate(tracked: Project) -> None:
    worse = change_config(tracked, "model", hyperparameters=WORSE)
    train_model(worse)
    evaluate_model(worse)
    with pytest.raises(PromotionRefusedError):
        promote_model(worse)
    last = _only_run(tracked)[-1]
    assert isinstance(last, Reached)
    assert last.state == "refused"
    assert "log_loss" in last.reason


def test_a_stage_finds_the_newest_run_that_made_the_candidate(tracked: Project) -> None:
    train_model(tracked)
    train_model(tracked)
    evaluate_model(tracked)
    assert [run.state for run in list_runs(tracked)] == ["trained", "evaluated"]


def test_a_candidate_that_was_trained_elsewhere_gets_a_run_of_its_own(tracked: Project) -> None:
    evaluate_model(tracked)
    assert [run.state for run in list_runs(tracked)] == ["evaluated"]


def test_half_a_line_of_a_killed_process_loses_no_other_line(tracked: Project) -> None:
    train_model(tracked)
    (journal,) = list_journals(tracked)
    before = journal.events()
    with (journal.folder / EVENTS_FILE).open("ab") as file:
        file.write(b'{"at": "2026-01')
    evaluate_model(tracked)
    assert journal.events()[: len(before)] == before
    assert _states(journal.events())[-1] == "evaluated"


def test_nothing_is_logged_where_tracking_is_disabled(trained_toy: Project) -> None:
    train_model(trained_toy)
    evaluate_model(trained_toy)
    assert not runs_folder(trained_toy).exists()


def test_a_wrong_setting_is_named_before_anything_is_trained(tracked: Project) -> None:
    before = (tracked.candidate / "manifest.json").stat().st_mtime_ns
    with pytest.raises(ProjectError, match=r"config/tracking.yaml has wrong settings:\n  enabeld"):
        train_model(change_config(tracked, "tracking", enabeld=True))
    assert (tracked.candidate / "manifest.json").stat().st_mtime_ns == before


def test_the_command_shows_each_run_and_draws_the_metric(tracked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    train_model(tracked)
    evaluate_model(tracked)
    monkeypatch.setenv(ROOT_VARIABLE, str(tracked.root))
    result = CliRunner().invoke(app, ["runs"])
    (run,) = list_runs(tracked)
    assert result.exit_code == 0
    assert run.name in result.output
    assert f"{run.value:.4f}" in result.output
    assert (tracked.reports / "figures" / "runs.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_draws_nothing_before_there_is_a_run(tracked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tracked.root))
    assert CliRunner().invoke(app, ["runs"]).exit_code == 0
    assert not Path(tracked.reports / "figures" / "runs.png").exists()
