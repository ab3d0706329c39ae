"""Runs on this disk: what they tell, and that they survive what stops them."""

import subprocess
from functools import partial

import pytest
from demo_project.config import Project
from demo_project.errors import PromotionRefusedError
from demo_project.tracking.run import list_runs, open_run

from .test_tracking import _log_run
from .toys import change_config


def test_a_promoted_run_that_is_refused_the_second_time_stays_promoted(toy: Project) -> None:
    with open_run(toy, "candidate") as run:
        run.reach("promoted")
    with pytest.raises(PromotionRefusedError), open_run(toy, "candidate"):
        raise PromotionRefusedError("not better than itself")
    assert [run.state for run in list_runs(toy)] == ["promoted"]


def test_a_run_names_the_commit_that_it_ran_from(toy: Project) -> None:
    run_git = partial(subprocess.run, cwd=toy.root, check=True, capture_output=True, text=True)
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
    _log_run(toy, 0.5)
    _log_run(change_config(toy, "model", seed=5), 0.5)
    assert [run.parameters["commit"] for run in list_runs(toy)] == [commit, f"{commit}-dirty"]
