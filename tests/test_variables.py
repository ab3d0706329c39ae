"""One page of a project names every variable that it reads, and make's commands read the file made of it."""

from __future__ import annotations

import re
from functools import cache

import pytest
from baking import Oven
from composing import ComposedProject, combinations_where, composer
from conftest import Shared

PAGE = ".env.example"
NAMED = re.compile(r"^(?:# )?([A-Z][A-Z_]+)=", re.MULTILINE)
READ = re.compile(
    r'os\.environ(?:\.get\(|\.setdefault\(|\[)"([A-Z_]+)"|"([A-Z_]+)" (?:not )?in os\.environ'
    r'|_VARIABLE = "([A-Z_]+)"|\$\{([A-Z_]+)[:?}-]'
)
WORD = re.compile(r"[A-Z][A-Z_]+")
SET_BY_OTHERS = re.compile(
    r"AWS_LAMBDA_\w+|SAGEMAKER_\w+"  # the host of an image
    r"|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|ENDPOINT_URL\w*)|API_KEYS_SECRET"  # Lambda
    r"|DRAIN_FILE|SKB_DATA_DIRECTORY"  # the project itself
    r"|CI|DOCKER|RUN_AS|TRAIN_ONLY"  # CI and make, and a job on SageMaker
    r"|GF_\w+"  # Grafana
)


@cache
def read_in(text: str) -> frozenset[str]:
    """Return the variables that code or Compose reads, without those which are nobody's to set."""
    found = {name for names in READ.findall(text) for name in names if name}
    return frozenset(name for name in found if not SET_BY_OTHERS.fullmatch(name))


@cache
def words_in(text: str) -> frozenset[str]:
    """Return the words of a text that may be variables."""
    return frozenset(WORD.findall(text))


def variables_read(project: ComposedProject) -> set[str]:
    """Return the variables that a project reads."""
    places = ("src/", "deploy/", "compose")
    texts = (
        text
        for file, text in project.texts
        if file.startswith(places) and file.endswith((".py", ".yaml")) and "cloudformation" not in file
    )
    return set().union(*map(read_in, texts))


def variables_named(project: ComposedProject) -> set[str]:
    """Return the variables that the page names."""
    return set(NAMED.findall(project.contents[PAGE].text or ""))


def test_the_page_names_every_variable_that_a_project_reads() -> None:
    def lacks(project: ComposedProject) -> dict[str, list[str]]:
        names = sorted(variables_read(project) - variables_named(project))
        return {PAGE: names} if names else {}

    assert combinations_where(lacks) == {}


def test_the_page_names_no_variable_of_which_nothing_else_speaks() -> None:
    def has_too_many(project: ComposedProject) -> dict[str, list[str]]:
        by_any_tool_of_aws = {"AWS_PROFILE", "AWS_REGION"}
        names = variables_named(project) - by_any_tool_of_aws
        for file, text in project.texts:
            if file != PAGE:
                # Not `-=`, which goes through the words of the text, where there are but few names.
                names = names - words_in(text)
        return {PAGE: sorted(names)} if names else {}

    assert combinations_where(has_too_many) == {}


def test_some_variables_are_found_in_every_way_of_reading_them() -> None:
    answers = {"serving": "fastapi", "containers": "docker", "tracking": "mlflow"}
    projects = (project for project in composer().projects() if answers.items() <= project.answers.items())
    expected = {"PROJECT_ROOT", "API_KEYS", "API_ADDRESS", "PORT", "DRAIN_SECONDS", "MLFLOW_TRACKING_URI"}
    assert expected <= variables_read(next(projects))


@pytest.mark.slow
def test_make_reads_the_file_and_the_shell_goes_before_it(oven: Oven, shared: Shared) -> None:
    project = oven.bake({"python_version": "3.11", "serving": "none", "data_versioning": "none"})
    variables = shared(project)
    project.run("make", "setup", **variables)
    elsewhere = project.path.parent / "elsewhere"
    (project.path / ".env").write_text(f"PROJECT_ROOT={elsewhere}\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=f"PROJECT_ROOT is {elsewhere}"):
        project.run("make", "data", **variables)
    assert "rows accepted" in project.run("make", "data", **variables, PROJECT_ROOT=str(project.path))
