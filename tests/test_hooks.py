"""The hook, rendered as cookiecutter renders it and loaded as a module."""

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

from hooks import post_gen_project

ANSWERS = {"package": "ml_project", **default_combination()}


PIECES = {
    "src/{package}/serving": {"serving": ("fastapi", "flask")},
    "src/{package}/serving/fastapi_app.py": {"serving": ("fastapi",)},
    "src/{package}/serving/flask_app.py": {"serving": ("flask",)},
    "tests/test_api.py": {"serving": ("fastapi", "flask")},
    "tests/test_request_log.py": {"serving": ("fastapi", "flask"), "monitoring": ("drift",)},
    "dvc.yaml": {"data_versioning": ("dvc",)},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with every piece of a small template in it."""
    monkeypatch.setattr(post_gen_project, "PIECES", PIECES)
    for piece in (*PIECES, "README.md"):
        path = tmp_path / piece.format(package="ml_project")
        file = path if path.suffix else path / "__init__.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("", encoding="utf-8")
    return tmp_path


def load_rendered(**answers: str) -> ModuleType:
    """Return the hook as cookiecutter would run it, as a module."""
    questions: dict[str, Any] = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    defaults = {option: choices[0] for option, choices in options().items()}
    texts = {"project_name": "N", "project_slug": "n", "description": "D", "author": "A"}
    del questions["__package"]
    context = {"cookiecutter": {**questions, **texts, **defaults, **answers}}
    source = (TEMPLATE / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
    module = ModuleType("post_gen_project")
    rendered = create_env_with_context(context).from_string(source).render(**context)
    exec(compile(rendered, "post_gen_project", "exec"), module.__dict__)  # noqa: S102 - our own source
    return module


def test_rendering_gives_a_hook_the_answers_that_files_depend_on() -> None:
    chosen = dict(pair.split("=") for pair in load_rendered(project_slug="a-b").CHOSEN.split())
    assert chosen == {"package": "a_b", **{option: choices[0] for option, choices in options().items()}}


def test_no_free_text_reaches_a_hook() -> None:
    hostile = "\"\"\" '''\\ 'serving=none' "
    assert load_rendered(author=hostile + "x").CHOSEN == load_rendered().CHOSEN


def test_the_hook_loads_no_module_that_would_make_each_bake_wait() -> None:
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", "import sys, post_gen_project; print(*sys.modules)"],
        cwd=TEMPLATE / "hooks",
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.split()
    assert "post_gen_project" in loaded
    assert {"json", "pathlib", "shutil", "subprocess", "typing"}.isdisjoint(loaded)


def test_pruning_keeps_what_the_answers_ask_for_and_removes_the_rest(project: Path) -> None:
    post_gen_project.prune(str(project), {**ANSWERS, "serving": "fastapi", "data_versioning": "none"})
    assert sorted(path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()) == [
        "README.md",
        "src/ml_project/serving/__init__.py",
        "src/ml_project/serving/fastapi_app.py",
        "tests/test_api.py",
        "tests/test_request_log.py",
    ]


def test_pruning_removes_a_folder_with_all_in_it_and_the_folders_left_empty(project: Path) -> None:
    post_gen_project.prune(str(project), {**ANSWERS, "serving": "none", "data_versioning": "none"})
    assert [path.name for path in project.iterdir()] == ["README.md"]


def test_pruning_fails_before_it_removes_anything_where_a_piece_does_not_exist(project: Path) -> None:
    (project / "dvc.yaml").unlink()
    with pytest.raises(SystemExit, match=r"PIECES names dvc\.yaml"):
        post_gen_project.prune(str(project), {**ANSWERS, "serving": "none"})
    assert (project / "tests/test_api.py").exists()


def test_every_piece_hangs_on_choices_that_are_offered() -> None:
    for keepers in post_gen_project.PIECES.values():
        for option, choices in keepers.items():
            assert set(choices) < set(options()[option])


@pytest.mark.parametrize(("serving", "monitoring"), [("none", "drift"), ("fastapi", "none")])
def test_a_piece_that_hangs_on_two_questions_needs_both(serving: str, monitoring: str, project: Path) -> None:
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
