"""The tests in `inside/`: of what projects are given and seldom change, so they are not theirs to keep.

They are run in generated projects, beside the projects' own tests, whose fixtures they take.
"""

from __future__ import annotations

from collections.abc import Set
from functools import cache
from pathlib import Path

from inspecting import imported_files, missing_modules

INSIDE = Path(__file__).with_name("inside")
PACKAGE = "demo_project"
"""How they call the package of the project that they are run in."""


def fitting_tests(package: str, files: Set[str]) -> dict[str, str]:
    """Return the text of those that fit a project with this package and these files, by their paths there.

    That is: all that they import of it is there.
    """
    return _fitting(package, frozenset(file for file in files if file.endswith(".py")))


@cache
def _fitting(package: str, modules: frozenset[str]) -> dict[str, str]:
    named = {
        f"tests/{file.name}": file.read_text(encoding="utf-8") for file in sorted(INSIDE.glob("test_*.py"))
    }
    texts = {file: text.replace(PACKAGE, package) for file, text in named.items()}
    there = modules.union(texts)
    return {file: text for file, text in texts.items() if _fits(imported_files(file, text), there)}


def _fits(imported: frozenset[str], modules: frozenset[str]) -> bool:
    # Of a folder that a project does not have at all, no module counts as missing.
    needs_deploy = any(module.startswith("deploy/") for module in imported)
    has_deploy = any(file.startswith("deploy/aws/") for file in modules)
    return has_deploy >= needs_deploy and not missing_modules(imported, modules)
