"""Runs on this disk: what they tell, and that they survive what stops them."""

import subprocess
from functools import partial

import numpy as np
import pytest
from demo_project.config import Project
from demo_project.errors import PromotionRefusedError
from demo_project.plots import plot_runs
from demo_project.tracking.local import (
    EVENTS_FILE,
    add_event,
    list_runs,
)
from demo_project.tracking.run import resume_run

from .test_tracking import _log_run, _summaries, logged  # noqa: F401
from .toys import change_config

YESTERDAY = """\
{"at":"2026-11-20T06:29:21.249306Z","kind":"reached","state":"training","reason":""}
{"at":"2026-11-20T06:29:21.349306Z","kind":"parameters","values":{"estimator":"ridge","data":"0123456789","C":1.5}}
{"at":"2026-11-20T06:29:22.249306Z","kind":"metrics","values":{"validation_log_loss":0.25,"odd":"NaN"},"step":0}
{"at":"2026-11-20T06:29:23.249306Z","kind":"version","name":"v3","folder":"models/versioned/v3"}
{"at":"2026-11-20T06:29:23.249307Z","kind":"reached","state":"promoted","reason":""}
{"at":"2026-11-20T06:29:24.249307Z","kind":"reached","state":"refused","reason":"not better than itself"}
"""


def test_a_promoted_run_that_is_refused_the_second_time_stays_promoted(logged: Project) -> None:
    with resume_run(logged, "candidate") as run:
        run.reach("promoted")
    with pytest.raises(PromotionRefusedError), resume_run(logged, "candidate"):
        raise PromotionRefusedError("not better than itself")
    assert [run.state for run in _summaries(logged)] == ["promoted"]


def test_half_a_line_of_a_killed_process_loses_no_other_line(logged: Project) -> None:
    _log_run(logged, 0.5)
    (folder,) = list_runs(logged)
    with (folder / EVENTS_FILE).open("ab") as file:
        file.write(b'\n{"at": "2026-01')
    add_event(folder, "reached", state="trained", reason="")
    (run,) = _summaries(logged)
    assert (run.state, run.metrics["validation_log_loss"]) == ("trained", {0: 0.5})


def test_runs_of_the_version_before_are_read_and_promoted_is_final_there_too(logged: Project) -> None:
    folder = logged.reports / "runs" / "20261120-062921-249306"
    folder.mkdir(parents=True)
    (folder / EVENTS_FILE).write_text(YESTERDAY, encoding="utf-8")
    (run,) = _summaries(logged)
    assert (run.state, run.reason, run.version, run.parameters["C"]) == ("promoted", "", "v3", 1.5)
    assert run.metrics["validation_log_loss"] == {0: 0.25}


def test_a_run_names_the_commit_that_it_ran_from(logged: Project) -> None:
    run_git = partial(subprocess.run, cwd=logged.root, check=True, capture_output=True, text=True)
    run_git(["git", "init", "--quiet"])
    run_git(["git", "add", "config"])
    run_git(
        [
            "git",
            "-c",
            "user.name=Me",
            "-c",
            "user.email=me@example.org",
            "commit",
            "--quiet",
            "--message=First",
        ]
    )
    commit = run_git(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
    _log_run(logged, 0.5)
    _log_run(change_config(logged, "model", seed=5), 0.5)
    assert [run.parameters["commit"] for run in _summaries(logged)] == [commit, f"{commit}-dirty"]


def test_no_line_joins_runs_of_different_data() -> None:
    figure = plot_runs(["a", "b", "c"], [1.0, 2.0, 3.0], [True, False, True], ["old", "new", "new"], "metric")
    joined = [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].get_lines()]
    assert joined == [[1.0], [2.0, 3.0]]
