"""Every file of a project is written as its .editorconfig asks editors to write."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest
from baking import SKELETON, skeleton_files

SETTINGS = SKELETON / ".editorconfig"


def sections() -> list[tuple[list[str], dict[str, str]]]:
    """Return the patterns and the settings of each section."""
    found: list[tuple[list[str], dict[str, str]]] = []
    for line in SETTINGS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            found.append((expanded(line.strip("[]")), {}))
        elif found and "=" in line:
            name, value = line.split(" = ")
            found[-1][1][name] = value
    return found


def expanded(pattern: str) -> list[str]:
    """Return the patterns that braces stand for."""
    match = re.search(r"\{(.+)\}", pattern)
    return [pattern.replace(match[0], each) for each in match[1].split(",")] if match else [pattern]


def settings_of(file: str) -> dict[str, str]:
    """Return what an editor does with a file; a later section goes before an earlier one."""
    asked: dict[str, str] = {}
    for patterns, settings in sections():
        if any(fnmatch(file, each) or fnmatch(file.rpartition("/")[2], each) for each in patterns):
            asked |= settings
    return asked


def departures(file: str, content: bytes) -> list[str]:
    """Return the settings that a file does not follow."""
    asked = settings_of(file)
    indents = [re.match(rb"[ \t]*", line)[0] for line in content.splitlines()]  # type: ignore[index]
    departs = {
        "end_of_line": asked["end_of_line"] == "lf" and b"\r" in content,
        "insert_final_newline": asked["insert_final_newline"] == "true" and not content.endswith(b"\n"),
        "trim_trailing_whitespace": asked["trim_trailing_whitespace"] == "true"
        and re.search(rb"[ \t]$", content, re.MULTILINE) is not None,
        "indent_style": asked["indent_style"] == "space" and any(b"\t" in indent for indent in indents),
    }
    return [name for name, is_so in departs.items() if is_so]


def test_every_file_is_as_the_settings_ask() -> None:
    files = [(file, (SKELETON / file).read_bytes()) for file in skeleton_files()]
    found = {file: departures(file, content) for file, content in files if content and b"\0" not in content}
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("content", "departs"),
    [
        (b"a\r\n", "end_of_line"),
        (b"a", "insert_final_newline"),
        (b"a \n", "trim_trailing_whitespace"),
        (b"\ta\n", "indent_style"),
    ],
)
def test_a_file_that_departs_is_found(content: bytes, departs: str) -> None:
    assert departs in departures("src/package/module.py", content)
    assert departures("data/raw/table.csv", content) == (["indent_style"] if b"\t" in content else [])


def test_make_and_shell_are_indented_by_tabs_and_yaml_by_two() -> None:
    assert settings_of("Makefile")["indent_style"] == "tab"
    assert settings_of("scripts/x.sh")["indent_style"] == "tab"
    assert settings_of("config/model.yaml")["indent_size"] == "2"
