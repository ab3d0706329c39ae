"""A project follows its template by cruft: its owner's work is kept, what both changed is a conflict."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from baking import SKELETON, BakedProject
from combinations import default_combination
from conftest import Shared
from following import edited, read_recipes
from running import environment

pytestmark = pytest.mark.slow

WHO = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}
TABLE = "id,length,width,kind\n" + "".join(
    f"{number},{number % 17 + number % 3 * 20}.5,{number % 11}.25,{'abc'[number % 3]}\n"
    for number in range(300)
)
OLDER_REQUIREMENT = '"hypothesis>=6.100"'
WORKFLOW = ".github/workflows/template-update.yml"


@dataclass(frozen=True)
class Followed:
    """A project that its owner changed, with the template that it was made from, which has moved on."""

    project: BakedProject
    template: Path
    variables: Mapping[str, str]

    def git(self, *arguments: str) -> str:
        """Run git in the project; return what it printed."""
        return self.project.run("git", *arguments, **WHO)

    def write(self, file: str, text: str) -> None:
        """Write a file of the project."""
        (self.project.path / file).write_text(text, encoding="utf-8")

    def update(self, report: Path) -> subprocess.CompletedProcess[str]:
        """Do what the project says is done about news in the template."""
        return subprocess.run(
            ["make", "template-update", f"REPORT={report}"],
            cwd=self.project.path,
            env=environment(**self.variables),
            capture_output=True,
            encoding="utf-8",
        )


def make_older(template: Path) -> None:
    """Turn the template into what an older release could have been: a lower bound, fewer files and lines."""
    skeleton = template / SKELETON.name
    replace(skeleton / "pyproject.toml", r'"hypothesis>=[^"]+"', OLDER_REQUIREMENT)
    replace(skeleton / "Makefile", r"\nhooks:[^\n]*\n(\t[^\n]*\n)+", "")
    replace(skeleton / "docs/guides/data.md", r"^# .+\n", "# The data\n")
    (skeleton / ".editorconfig").unlink()
    replace(template / "cookiecutter.json", r' *"\.editorconfig",\n', "")
    replace(
        template / "cookiecutter.json", r'("_copy_without_render": \[\n)', r'\1    "data/raw/README.md",\n'
    )


def replace(file: Path, pattern: str, by: str) -> None:
    """Replace the one place in a file that a pattern finds."""
    text, count = re.subn(pattern, by, file.read_text(encoding="utf-8"))
    assert count == 1, f"{file.name}: {count} places for {pattern}"
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def followed(template_repository: Path, tmp_path: Path, shared: Shared) -> Followed:
    """Make a project of an older release as its owner does, have the owner work on it, and release anew."""

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=template_repository, env=environment(**WHO), check=True)

    make_older(template_repository)
    git("commit", "--quiet", "--all", "--message", "Older")
    options = ["--no-input", "--default-config", "--output-dir", str(tmp_path / "made")]
    subprocess.run(["cruft", "create", str(template_repository), *options], env=environment(), check=True)
    git("revert", "--no-edit", "HEAD")
    project = BakedProject(tmp_path / "made" / "ml-project", default_combination())
    followed = Followed(project, template_repository, shared(project))
    followed.git("init", "--quiet")
    followed.git("add", "--all")
    followed.git("commit", "--quiet", "--message", "As it was made")
    return followed


def work_on(followed: Followed, tmp_path: Path) -> dict[str, str]:
    """Adopt a table, add a feature and a route as the guide says; return the edited files."""
    followed.project.run("make", "setup", **followed.variables)
    table = tmp_path / "widgets.csv"
    table.write_text(TABLE, encoding="utf-8")
    command = ("uv", "run", "--all-extras", followed.project.slug, "adopt", str(table), "--target", "kind")
    recipes = read_recipes((followed.project.path / "docs/guides/extending.md").read_text(encoding="utf-8"))
    changed = {}
    for title in ("A feature", "A route"):
        for step in recipes[title]:
            if step.kind == "edit" and step.path.startswith("src/"):
                before = (followed.project.path / step.path).read_text(encoding="utf-8")
                changed[step.path] = edited(before, step.text)
                followed.write(step.path, changed[step.path])
    assert len(changed) == 2
    followed.project.run(*command, **followed.variables)
    followed.project.run("make", "format", **followed.variables)
    followed.git("add", "--all")
    followed.git("commit", "--quiet", "--message", "My work")
    return {file: (followed.project.path / file).read_text(encoding="utf-8") for file in changed}


def test_an_update_keeps_the_owners_table_feature_and_route(followed: Followed, tmp_path: Path) -> None:
    changed = work_on(followed, tmp_path)
    schema = (followed.project.path / "config/schema.yaml").read_bytes()
    assert b"width" in schema
    done = followed.update(tmp_path / "report.md")
    assert done.returncode == 0, done.stdout + done.stderr

    path = followed.project.path
    assert (path / ".editorconfig").read_bytes() == (SKELETON / ".editorconfig").read_bytes()
    assert (path / "docs/guides/data.md").read_bytes() == (SKELETON / "docs/guides/data.md").read_bytes()
    assert OLDER_REQUIREMENT not in (path / "pyproject.toml").read_text(encoding="utf-8")
    assert "\nhooks:" in (path / "Makefile").read_text(encoding="utf-8")
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert ".editorconfig" in report
    assert "<<<<<<<" not in report

    assert (path / "config/schema.yaml").read_bytes() == schema
    assert {file: (path / file).read_text(encoding="utf-8") for file in changed} == changed
    followed.git("add", "--all")
    followed.git("commit", "--quiet", "--message", "What is new")
    done = followed.update(tmp_path / "again.md")
    assert (done.returncode, "Nothing is new" in done.stdout) == (0, True), done.stdout + done.stderr
    for target in ("lint", "pipeline"):
        followed.project.run("make", target, **followed.variables)
    tests = ("tests/test_data_features.py", "tests/test_api.py", "tests/test_data_format.py")
    followed.project.run("uv", "run", "--all-extras", "pytest", *tests, **followed.variables)


def test_what_both_changed_is_a_conflict_in_gits_status_and_the_report(
    followed: Followed, tmp_path: Path
) -> None:
    guide = followed.project.path / "docs/guides/data.md"
    followed.write("docs/guides/data.md", guide.read_text("utf-8").replace("# The data", "# Our data"))
    followed.git("commit", "--quiet", "--all", "--message", "My work")
    done = followed.update(tmp_path / "report.md")
    assert "git add" in done.stdout, done.stdout + done.stderr
    assert done.returncode != 0
    assert "UU docs/guides/data.md" in followed.git("status", "--porcelain").splitlines()
    assert "- docs/guides/data.md\n" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "# Our data" in guide.read_text(encoding="utf-8")
    assert (followed.project.path / ".editorconfig").exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [("README.md", "changes that are not committed"), (".cruft.json", "cruft link")],
)
def test_an_update_that_cannot_be_done_changes_nothing(
    followed: Followed, file: str, message: str, tmp_path: Path
) -> None:
    if file == ".cruft.json":
        followed.git("rm", "--quiet", file)
        followed.git("commit", "--quiet", "--message", "Without")
    else:
        followed.write(file, "mine")
    before = followed.git("status", "--porcelain")
    done = followed.update(tmp_path / "report.md")
    assert done.returncode != 0
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert followed.git("status", "--porcelain") == before
    assert not (tmp_path / "report.md").exists()


FAKE_GITHUB = """#!/bin/sh
[ "$2" = list ] || echo "$@" >> {log}
"""


@pytest.mark.parametrize("workflows_change", [False, True])
def test_the_workflow_opens_a_pull_request_or_an_issue_where_workflows_change(
    followed: Followed, workflows_change: bool, tmp_path: Path
) -> None:
    """Its scripts are run in order, with a folder as the remote and a `gh` that notes what it is told."""
    if workflows_change:
        workflow = followed.template / SKELETON.name / WORKFLOW
        workflow.write_text(workflow.read_text("utf-8") + "# newer\n", encoding="utf-8")
        subprocess.run(
            ["git", "commit", "--quiet", "--all", "--message", "Newer"],
            cwd=followed.template,
            env=environment(**WHO),
            check=True,
        )
    remote, log = tmp_path / "remote.git", tmp_path / "told.txt"
    followed.git("clone", "--quiet", "--bare", ".", str(remote))
    github = tmp_path / "bin" / "gh"
    github.parent.mkdir()
    github.write_text(FAKE_GITHUB.format(log=log), encoding="utf-8")
    github.chmod(0o755)
    text = (followed.project.path / WORKFLOW).read_text(encoding="utf-8")
    for number, job in enumerate(yaml.safe_load(text)["jobs"].values()):
        checkout = tmp_path / str(number)
        followed.git("clone", "--quiet", str(remote), str(checkout))
        [script] = [step["run"] for step in job["steps"] if "run" in step]
        path = f"{github.parent}:{environment()['PATH']}"
        runner = {"RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "output")}
        subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=checkout,
            env=environment(**{**runner, "GITHUB_WORKSPACE": str(checkout), "PATH": path}),
            check=True,
        )
    assert (tmp_path / "output").read_text(encoding="utf-8") == "is-new=true\n"
    told = log.read_text(encoding="utf-8").splitlines()[-1]
    branches = followed.git("ls-remote", "--heads", str(remote))
    assert ("refs/heads/template-update" in branches) is not workflows_change
    assert told.startswith("issue create" if workflows_change else "pr create --draft")
