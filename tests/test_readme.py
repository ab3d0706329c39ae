"""What the documentation of the template says is what the code does."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from baking import SKELETON, TEMPLATE, skeleton_files
from combinations import options
from inspecting import LINK
from option_table import table, updated

PAGES = sorted(
    [*TEMPLATE.glob("*.md"), *(TEMPLATE / "docs").rglob("*.md"), *(TEMPLATE / "benchmarks").glob("*.md")]
)
CHANGELOG = TEMPLATE / "CHANGELOG.md"
MENTIONED = re.compile(
    r"`((?:benchmarks|docs|hooks|scripts|templates|tests|\.github|\.ci)/[\w./-]*|[\w-]+\.(?:py|json|toml|md))`"
)


def test_the_table_of_questions_is_that_of_cookiecutter_json() -> None:
    readme = (TEMPLATE / "README.md").read_text(encoding="utf-8")
    assert table() in readme
    assert updated(readme) == readme


def test_the_table_has_every_choice() -> None:
    rows = {row.split("`")[1]: row for row in table().splitlines()[2:]}
    for option, choices in options().items():
        assert all(f"`{choice}`" in rows[option] for choice in choices)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(TEMPLATE).as_posix())
def test_every_link_and_every_path_of_a_page_leads_to_a_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [page.parent / link for link in LINK.findall(text)]
    targets += [TEMPLATE / path for path in MENTIONED.findall(text)]
    assert [
        str(target)
        for target in targets
        if not target.exists() and not (page == CHANGELOG and is_in_a_project(target))
    ] == []


def is_in_a_project(path: Path) -> bool:
    """Tell whether a path, or a lone name, is that of a file of the skeleton: what the changelog is about."""
    within = path.relative_to(TEMPLATE).as_posix()
    return any(file == within or file.endswith(f"/{within}") for file in skeleton_files())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(TEMPLATE).as_posix())
def test_every_make_command_of_a_page_is_a_target(page: Path) -> None:
    makefiles = [TEMPLATE / "Makefile"]
    if page == CHANGELOG:
        makefiles += [SKELETON / "Makefile", *SKELETON.rglob("*.mk")]
    rules = "\n".join(file.read_text(encoding="utf-8") for file in makefiles)
    targets = re.findall(r"^([a-z-]+):", rules, re.MULTILINE)
    commands = re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(commands) <= set(targets)


def test_every_test_file_stands_behind_a_guarantee() -> None:
    guarantees = (TEMPLATE / "docs" / "guarantees.md").read_text(encoding="utf-8")
    files = sorted(file.name for file in (TEMPLATE / "tests").glob("test_*.py"))
    assert [file for file in files if f"`tests/{file}`" not in guarantees] == []


def test_the_present_version_heads_the_changelog_and_is_the_one_that_the_readme_names() -> None:
    settings = tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))
    version = settings["project"]["version"]
    changelog, readme = (
        (TEMPLATE / page).read_text(encoding="utf-8") for page in ("CHANGELOG.md", "README.md")
    )
    heading = re.search(r"^## (\S+) \((\S+)\)$", changelog, re.MULTILINE)
    assert heading
    assert heading[1] == version
    assert date.fromisoformat(heading[2]).isoformat() == heading[2]
    assert re.findall(r"--checkout v(\S+)", readme) == [version]
