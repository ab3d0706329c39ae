"""The workflows of the template ask for no more than they need, and run only what is pinned."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from baking import TEMPLATE
from linting import actionlint, zizmor

WORKFLOWS = sorted((TEMPLATE / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")

each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)


def jobs_of(workflow: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return jobs


def test_zizmor_finds_nothing() -> None:
    assert zizmor(TEMPLATE / ".github") == ""


def test_zizmor_would_find_something(tmp_path: Path) -> None:
    unsafe = tmp_path / ".github" / "workflows" / "unsafe.yml"
    unsafe.parent.mkdir(parents=True)
    steps = "steps: [{run: 'echo ${{ github.event.issue.title }}'}]"
    unsafe.write_text(f"on: issues\njobs: {{a: {{runs-on: ubuntu-24.04, {steps}}}}}\n", encoding="utf-8")
    assert "template-injection" in zizmor(unsafe)


def test_actionlint_finds_nothing() -> None:
    assert actionlint(WORKFLOWS) == []


def test_actionlint_would_find_something(tmp_path: Path) -> None:
    wrong = {
        "{runs-on: ubuntu-24.04, steps: [{run: 'echo ${{ github.nobody }}'}]}": 'property "nobody"',
        "{runs-on: ubuntu-24.04, needs: [nobody], steps: [{run: make}]}": '"nobody"',
        "{runs-on: ubuntu-24.04, steps: [{run: make, usess: nobody}]}": '"usess"',
        "{runs-on: ubuntu-24.04, steps: [": "could not parse",
    }
    files = [tmp_path / f"{number}.yml" for number in range(len(wrong))]
    for file, job in zip(files, wrong, strict=True):
        file.write_text(f"on: push\njobs:\n  job: {job}\n", encoding="utf-8")
    said = actionlint(files)  # at once: its start takes longer than it does
    for file, found in zip(files, wrong.values(), strict=True):
        assert found in next(line for line in said if line.startswith(f"{file}:"))


@pytest.mark.parametrize("schema", ["github-workflows", "dependabot"])
def test_the_files_are_as_github_wants_them(schema: str) -> None:
    files = WORKFLOWS if schema == "github-workflows" else [TEMPLATE / ".github" / "dependabot.yml"]
    command = ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout


@each_workflow
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text(encoding="utf-8"))
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


@each_workflow
def test_a_workflow_has_no_permission_that_a_job_does_not_ask_for(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text(encoding="utf-8"))["permissions"] == {}


@each_workflow
def test_every_job_ends_by_itself(workflow: Path) -> None:
    assert [name for name, job in jobs_of(workflow).items() if "timeout-minutes" not in job] == []


@each_workflow
def test_no_checkout_leaves_its_credentials_behind(workflow: Path) -> None:
    steps = [step for job in jobs_of(workflow).values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
