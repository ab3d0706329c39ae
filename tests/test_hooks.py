"""The hooks, rendered as cookiecutter renders them and loaded as modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from baking import TEMPLATE
from combinations import default_combination, options
from cookiecutter.utils import create_env_with_context

from hooks import post_gen_project, pre_gen_project

ANSWERS = {"package": "ml_project", **default_combination()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with every piece in it, each a folder with a file unless it has a suffix."""
    for piece in post_gen_project.PIECES:
        path = tmp_path / piece.format(package="ml_project")
        file = path if path.suffix else path / "__init__.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("", encoding="utf-8")
    (tmp_path / "README.md").write_text("", encoding="utf-8")
    return tmp_path


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


def load_rendered(hook: str, **answers: str) -> ModuleType:
    """Return a hook as cookiecutter would run it, as a module."""
    questions: dict[str, Any] = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    defaults = {option: choices[0] for option, choices in options().items()}
    texts = {"project_name": "N", "project_slug": "n", "description": "D", "author": "A"}
    del questions["__package"]
    context = {"cookiecutter": {**questions, **texts, **defaults, **answers}}
    source = (TEMPLATE / "hooks" / f"{hook}.py").read_text(encoding="utf-8")
    module = ModuleType(hook)
    rendered = create_env_with_context(context).from_string(source).render(**context)
    exec(compile(rendered, hook, "exec"), module.__dict__)  # noqa: S102 - our own source
    return module


def test_rendering_gives_a_hook_the_answers_that_files_depend_on() -> None:
    chosen = dict(
        pair.split("=") for pair in load_rendered("post_gen_project", project_slug="a-b").CHOSEN.split()
    )
    assert chosen == {"package": "a_b", **{option: choices[0] for option, choices in options().items()}}


def test_no_free_text_reaches_a_hook() -> None:
    hostile = "\"\"\" '''\\ 'serving=none' "
    assert (
        load_rendered("post_gen_project", author=hostile + "x").CHOSEN
        == load_rendered("post_gen_project").CHOSEN
    )


def test_rendering_the_first_hook_refuses_what_skipped_the_prompts() -> None:
    with pytest.raises(Exception, match=r"serving is \"tornado\": answer one of fastapi, flask, none"):
        load_rendered("pre_gen_project", serving="tornado")
    with pytest.raises(Exception, match="__package is"):
        load_rendered("pre_gen_project", __package="os")


@pytest.mark.parametrize("hook", ["pre_gen_project", "post_gen_project"])
def test_a_hook_loads_no_module_that_would_make_each_bake_wait(hook: str) -> None:
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys, {hook}; print(*sys.modules)"],
        cwd=TEMPLATE / "hooks",
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.split()
    assert hook in loaded
    assert {"json", "pathlib", "shutil", "subprocess", "typing"}.isdisjoint(loaded)


def test_pruning_keeps_what_the_answers_ask_for_and_removes_the_rest(project: Path) -> None:
    post_gen_project.prune(str(project), ANSWERS)
    assert (project / "src/ml_project/serving/asgi.py").exists()
    assert not (project / "src/ml_project/serving/wsgi.py").exists()
    assert (project / "tests/test_api.py").exists()


def test_pruning_removes_a_folder_with_all_in_it_and_the_folders_left_empty(project: Path) -> None:
    kept = {choice for _, values in post_gen_project.PIECES.values() for choice in values}
    without = {
        option: next((choice for choice in choices if choice not in kept), choices[0])
        for option, choices in options().items()
    }
    post_gen_project.prune(str(project), {**ANSWERS, **without})
    assert [path.name for path in project.iterdir()] == ["README.md"]


def test_pruning_fails_before_it_removes_anything_where_a_piece_does_not_exist(project: Path) -> None:
    (project / "tests/test_api.py").unlink()
    with pytest.raises(SystemExit, match=r"PIECES names tests/test_api\.py"):
        post_gen_project.prune(str(project), {**ANSWERS, "serving": "none"})
    assert (project / "config/serving.yaml").exists()


def test_every_piece_hangs_on_choices_that_are_offered() -> None:
    for option, values in (*post_gen_project.PIECES.values(), *post_gen_project.ALSO.values()):
        assert set(values) < set(options()[option])


@pytest.mark.parametrize(("serving", "monitoring"), [("none", "drift"), ("fastapi", "none")])
def test_a_piece_that_hangs_on_two_questions_needs_both(serving: str, monitoring: str, project: Path) -> None:
    assert post_gen_project.ALSO.keys() <= post_gen_project.PIECES.keys()
    post_gen_project.prune(str(project), {**ANSWERS, "serving": serving, "monitoring": monitoring})
    assert not (project / "tests/test_request_log.py").exists()
    assert (project / "README.md").exists()


@pytest.mark.parametrize(
    ("serving", "last"), [("fastapi", "make serve"), ("flask", "make serve"), ("none", "make predict")]
)
def test_the_next_steps_are_four_commands(serving: str, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", str(Path("/home/me")))
    steps = post_gen_project.next_steps(str(Path("/home/me/ml-project")), {"serving": serving})
    assert [step.strip() for step in steps.splitlines()] == [
        "cd ml-project",
        "make setup",
        "make pipeline",
        last,
    ]


def test_the_next_steps_name_the_whole_path_of_a_project_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", str(Path("/home/me")))
    elsewhere = str(Path("/srv/ml-project"))
    assert post_gen_project.next_steps(elsewhere, ANSWERS).splitlines()[0].strip() == f"cd {elsewhere}"


def test_a_new_folder_may_be_generated_into(tmp_path: Path) -> None:
    assert pre_gen_project.refusal(str(tmp_path)) is None


def test_a_repository_with_all_work_committed_may_be_generated_into(repository: Path) -> None:
    assert pre_gen_project.refusal(str(repository)) is None


@pytest.mark.parametrize("change", ["edited", "untracked", "staged"])
def test_a_repository_with_uncommitted_work_is_refused(repository: Path, change: str) -> None:
    file = repository / ("README.md" if change == "edited" else "new.md")
    file.write_text("newer", encoding="utf-8")
    if change == "staged":
        git(repository, "add", "new.md")
    message = pre_gen_project.refusal(str(repository))
    assert message is not None
    assert file.name in message
    assert "git commit" in message


def test_a_setting_that_hides_untracked_files_does_not_hide_them_here(repository: Path) -> None:
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "new.md").write_text("new", encoding="utf-8")
    assert pre_gen_project.refusal(str(repository)) is not None


def test_a_folder_with_files_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    message = pre_gen_project.refusal(str(tmp_path))
    assert message is not None
    assert "git init" in message


def test_an_ignored_folder_of_another_repository_is_refused(repository: Path) -> None:
    (repository / ".gitignore").write_text("/build/\n", encoding="utf-8")
    git(repository, "add", ".gitignore")
    git(repository, "commit", "--quiet", "-m", "Ignore")
    (repository / "build").mkdir()
    (repository / "build" / "mine.txt").write_text("mine", encoding="utf-8")
    assert pre_gen_project.refusal(str(repository / "build")) is not None


def test_without_git_a_folder_with_files_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert pre_gen_project.refusal(str(repository)) is not None
