"""Generating again over a project never costs its owner any work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from baking import TEMPLATE, BakedProject, Oven

from destination import refusal


@pytest.fixture
def committed(oven: Oven) -> BakedProject:
    """Return a project whose every file is committed."""
    project = oven.bake({})
    project.run("git", "init", "--quiet")
    project.run("git", "add", "--all")
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    project.run("git", *who, "commit", "--quiet", "--message", "All")
    return project


def generate_again(project: BakedProject, oven: Oven, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings: list[str | Path] = ["--config-file", oven.configuration(), "--output-dir", project.path.parent]
    return run(sys.executable, "-m", "cookiecutter", "-f", "--no-input", *settings, TEMPLATE, *arguments)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")


@pytest.mark.parametrize("file", ["README.md", "src/ml_project/serving/mine.py"])
@pytest.mark.parametrize("hooks", ["yes", "no"])
def test_uncommitted_work_is_refused_and_not_touched(
    committed: BakedProject, oven: Oven, file: str, hooks: str
) -> None:
    (committed.path / file).write_text("my work", encoding="utf-8")
    before = BakedProject(committed.path, {}).digests
    done = generate_again(committed, oven, "serving=none", "--accept-hooks", hooks)
    assert done.returncode == 1
    first, *_, changed, last = done.stdout.splitlines()
    assert first == f"Nothing was written: {committed.path} is not empty."
    assert changed.endswith(file)
    assert last == 'Run "git add -A && git commit -m Before" in it first.'
    assert BakedProject(committed.path, {}).digests == before


def test_cruft_too_refuses_to_write_over_uncommitted_work(
    committed: BakedProject, template_repository: Path
) -> None:
    (committed.path / "README.md").write_text("my work", encoding="utf-8")
    before = BakedProject(committed.path, {}).digests
    options = ["--no-input", "--default-config", "--overwrite-if-exists"]
    done = run("cruft", "create", template_repository, *options, "--output-dir", committed.path.parent)
    assert done.returncode != 0
    assert 'Run "git add -A && git commit -m Before" in it first.' in done.stdout
    assert BakedProject(committed.path, {}).digests == before


def test_committed_work_can_be_generated_over(committed: BakedProject, oven: Oven) -> None:
    done = generate_again(committed, oven, "serving=none")
    assert done.returncode == 0, done.stdout
    assert not (committed.path / "src/ml_project/serving").exists()


def test_a_refused_answer_leaves_the_existing_project_as_it_is(committed: BakedProject, oven: Oven) -> None:
    before = BakedProject(committed.path, {}).digests
    done = generate_again(committed, oven, "description=")
    assert done.returncode == 1
    assert BakedProject(committed.path, {}).digests == before


def test_an_answer_that_is_the_path_of_a_folder_is_no_destination(oven: Oven) -> None:
    assert (oven.bake({"description": str(TEMPLATE / "tests")}).path / "README.md").exists()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a git repository with one committed file."""
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    for command in (["init", "--quiet"], ["add", "README.md"], ["commit", "--quiet", "-m", "Mine"]):
        git(tmp_path, *command)
    return tmp_path


def git(folder: Path, *command: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *command], cwd=folder, check=True)


def test_a_new_folder_may_be_generated_into(tmp_path: Path) -> None:
    assert refusal(tmp_path) is None


def test_a_repository_with_all_work_committed_may_be_generated_into(repository: Path) -> None:
    assert refusal(repository) is None


@pytest.mark.parametrize("change", ["edited", "untracked", "staged"])
def test_a_repository_with_uncommitted_work_is_refused(repository: Path, change: str) -> None:
    file = repository / ("README.md" if change == "edited" else "new.md")
    file.write_text("newer", encoding="utf-8")
    if change == "staged":
        git(repository, "add", "new.md")
    message = refusal(repository)
    assert message is not None
    assert file.name in message
    assert "git commit" in message


def test_a_setting_that_hides_untracked_files_does_not_hide_them_here(repository: Path) -> None:
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "new.md").write_text("new", encoding="utf-8")
    assert refusal(repository) is not None


def test_a_folder_with_files_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    message = refusal(tmp_path)
    assert message is not None
    assert "git init" in message


def test_an_ignored_folder_of_another_repository_is_refused(repository: Path) -> None:
    (repository / ".gitignore").write_text("/build/\n", encoding="utf-8")
    git(repository, "add", ".gitignore")
    git(repository, "commit", "--quiet", "-m", "Ignore")
    (repository / "build").mkdir()
    (repository / "build" / "mine.txt").write_text("mine", encoding="utf-8")
    assert refusal(repository / "build") is not None


def test_without_git_a_folder_with_files_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert refusal(repository) is not None
