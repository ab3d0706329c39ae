"""A release says what the changelog says of its version, and is refused where that is missing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from baking import TEMPLATE
from changelog_part import part_of

CHANGELOG = (
    "# Changelog\n\n## 1.2.0 (2026-12-24)\n\nNew.\n\n### Added\n\n- A.\n\n## 1.1.0 (2026-11-21)\n\nOld.\n"
)


def test_the_part_is_that_of_the_version_alone() -> None:
    assert part_of(CHANGELOG, "1.2.0") == "New.\n\n### Added\n\n- A.\n"
    assert part_of(CHANGELOG, "1.1.0") == "Old.\n"


@pytest.mark.parametrize(
    "changelog", [CHANGELOG, "## 1.3.0\n\nNo day.\n", "## 1.3.0 (2026-12-25)\n\n## 1.2.0"]
)
def test_a_version_of_which_nothing_is_said_is_refused(changelog: str) -> None:
    with pytest.raises(LookupError, match=re.escape("1.3.0")):
        part_of(changelog, "1.3.0")


def test_a_tag_of_another_version_than_the_projects_is_refused_in_one_line() -> None:
    done = run("v0.0.1")
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("error: the tag says 0.0.1")
    assert len(done.stderr.splitlines()) == 1


def test_the_present_version_can_be_released() -> None:
    version = tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    done = run(f"v{version}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def run(tag: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TEMPLATE / "scripts" / "changelog_part.py"), tag]
    return subprocess.run(command, capture_output=True, encoding="utf-8")
