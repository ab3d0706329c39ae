"""Runs on this disk: what they tell, and that they survive what stops them."""

import subprocess
from functools import partial

import pytest
from demo_project.config import Project
from demo_project.errors import PromotionRefusedError
from demo_project.tracking.local import list_runs
from demo_project.tracking.run import resume_run

from .test_tracking import _log_run, logged  # noqa: F401
from .toys import change_config


def test_a_promoted_run_that_is_refused_the_second_time_stays_promoted(logged: Project) -> None:
    with resume_run(logged, "candidate") as run:
        run.reach("promoted")
    with pytest.raises(PromotionRefusedError), resume_run(logged, "candidate"):
        raise PromotionRefusedError("not better than itself")
    assert [run.state for run in list_runs(logged)] == ["promoted"]


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
    assert [run.parameters["commit"] for run in list_runs(logged)] == [commit, f"{commit}-dirty"]
