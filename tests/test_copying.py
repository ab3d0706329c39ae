"""Files without a template tag are copied, which is most of a bake's speed; the others are rendered."""

from __future__ import annotations

import ast
from fnmatch import fnmatch

import pytest
from baking import SKELETON, skeleton_files
from composing import SETTINGS, is_copied, parents

PATTERNS: list[str] = SETTINGS["_copy_without_render"]
# What is outside of the package imports it by its name: in one file, so that no other needs a tag for it.
NAMES_THE_PACKAGE = "deploy/aws/package.py"


def has_tags(file: str) -> bool:
    content = (SKELETON / file).read_bytes()
    return b"{{ cookiecutter." in content or b"# {%" in content


def test_no_copied_file_has_a_template_tag() -> None:
    assert [file for file in skeleton_files() if is_copied(file) and has_tags(file)] == []


def test_every_rendered_file_has_a_template_tag() -> None:
    assert [file for file in skeleton_files() if not is_copied(file) and not has_tags(file)] == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_matches_a_file_and_no_folder(pattern: str) -> None:
    files = skeleton_files()
    folders = {parent for file in files for parent in parents(file)}
    assert [file for file in files if fnmatch(file, pattern)] != []
    assert [folder for folder in folders if fnmatch(folder, pattern)] == []


def test_python_outside_of_tests_parses_before_it_is_rendered_but_for_one_list_of_imports() -> None:
    python = [file for file in skeleton_files() if file.endswith(".py") and not file.startswith("tests/")]
    assert [file for file in python if not parses(file)] == [NAMES_THE_PACKAGE]


def parses(file: str) -> bool:
    try:
        ast.parse((SKELETON / file).read_text(encoding="utf-8"))
    except SyntaxError:
        return False
    return True
