"""An option changes what it owns, the few files that all options share, and nothing else."""

from __future__ import annotations

import pytest
from baking import BakedProject
from combinations import Combination, every_combination, label, neighbours, options
from conftest import Bake

from hooks.post_gen_project import PIECES

SHARED = {"pyproject.toml", "README.md", "Makefile", ".gitignore"}
"""Files whose format wants one file where several options have a say."""

OWNED: dict[str, set[str]] = {
    "license": {"LICENSE"},
    "python_version": {".python-version"},
    "task": {
        "config/schema.yaml",
        "config/model.yaml",
        "docs/guides/models.md",
        "docs/guides/serving.md",
        "docs/guides/tracking.md",
    },
    "serving": {"docs/layout.md", "docs/guides/monitoring.md"},
    "data_versioning": {"docs/layout.md"},
    "tracking": {"docs/layout.md", "docs/guides/tracking.md", "src/{package}/tracking/run.py"},
    "monitoring": {"dvc.yaml"},
}
"""Files that are always there and whose content follows one option."""


@pytest.mark.parametrize("combination", every_combination(), ids=label)
def test_flipping_one_option_changes_only_what_it_owns(combination: Combination, bake: Bake) -> None:
    project = bake(**combination)
    for option, other in neighbours(combination):
        strange = {
            file for file in changed(project, bake(**other)) if not owned(option, file, project.package)
        }
        assert strange == set(), f"{option}: {combination[option]} -> {other[option]}"


@pytest.mark.parametrize("option", options())
def test_every_choice_of_an_option_makes_a_difference(option: str, bake: Bake) -> None:
    projects = [bake(**{option: choice}) for choice in options()[option]]
    assert len({frozenset(project.digests.items()) for project in projects}) == len(projects)


def test_a_change_is_a_file_that_differs_or_is_in_one_alone(bake: Bake) -> None:
    assert changed(bake(serving="none"), bake(serving="none")) == set()
    assert "tests/test_api.py" in changed(bake(serving="none"), bake(serving="flask"))
    assert "LICENSE" in changed(bake(license="MIT"), bake(license="Proprietary"))


def changed(one: BakedProject, other: BakedProject) -> set[str]:
    """Return the files that are not the same in both."""
    return {file for file, _ in one.digests.items() ^ other.digests.items()}


def owned(option: str, file: str, package: str) -> bool:
    """Tell whether flipping the option may change the file."""
    pieces = [piece.format(package=package) for piece, (owner, _) in PIECES.items() if owner == option]
    inside = any(file == piece or file.startswith(f"{piece}/") for piece in pieces)
    named = {path.format(package=package) for path in OWNED.get(option, set())}
    return inside or file in SHARED or file in named
