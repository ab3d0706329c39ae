"""Generating again over a project never costs its owner any work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from baking import TEMPLATE, BakedProject, Oven


@pytest.fixture
def committed(oven: Oven) -> BakedProject:
    """Return a project whose every file is committed."""
    project = oven.bake({})
    project.run("git", "init", "--quiet")
    project.run("git", "add", "--all")
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    project.run("git", *who, "commit", "--quiet", "--message", "All")
    return project


def generate_again(
    project: BakedProject, configuration: Path, *answers: str
) -> subprocess.CompletedProcess[str]:
    command = [
        "-f",
        "--no-input",
        "--config-file",
        configuration,
        "--output-dir",
        project.path.parent,
        TEMPLATE,
    ]
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", *map(str, command), *answers],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


@pytest.mark.parametrize("file", ["README.md", "src/ml_project/serving/mine.py"])
def test_uncommitted_work_is_refused_and_not_touched(committed: BakedProject, oven: Oven, file: str) -> None:
    (committed.path / file).write_text("my work", encoding="utf-8")
    before = BakedProject(committed.path, {}).digests
    done = generate_again(committed, oven.configuration(), "serving=none")
    assert done.returncode == 1
    assert file in done.stdout
    assert 'Run "git add -A && git commit -m Before" in it first.' in done.stdout
    assert BakedProject(committed.path, {}).digests == before


def test_committed_work_can_be_generated_over(committed: BakedProject, oven: Oven) -> None:
    done = generate_again(committed, oven.configuration(), "serving=none")
    assert done.returncode == 0, done.stdout
    assert not (committed.path / "src/ml_project/serving").exists()


def test_a_refused_answer_leaves_the_existing_project_as_it_is(committed: BakedProject, oven: Oven) -> None:
    before = BakedProject(committed.path, {}).digests
    done = generate_again(committed, oven.configuration(), "description=")
    assert done.returncode == 1
    assert BakedProject(committed.path, {}).digests == before
