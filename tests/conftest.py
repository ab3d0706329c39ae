"""Fixtures: ``bake`` gives a project for some answers, ``oven`` bakes in ways that must not be shared."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baking import SKELETON, TEMPLATE, BakedProject, Oven
from building import PYTHON, Docker, docker_or_podman, is_daemon_here, lacking
from combinations import options
from interpreters import interpreter_for, version_of

Bake = Callable[..., BakedProject]
Shared = Callable[[BakedProject], dict[str, str]]

CONTAINERS_REQUIRED = "CONTAINERS_REQUIRED"
"""A variable that makes a machine which cannot build images fail, where others skip."""


def pytest_configure() -> None:
    """Let the tests find uv, ruff and the rest, also where the suite was not started by ``uv run``."""
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], str(Path(sys.executable).parent)])


def pytest_report_header() -> list[str]:
    """Say which Pythons the real projects run on, since one that is not here is replaced by a newer one."""
    versions = options()["python_version"]
    return [f"projects for Python {version} run on {interpreter_for(version)}" for version in versions]


@pytest.fixture(scope="session")
def bake(tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """Bake once for each set of answers; the result is shared, so tests only read it."""
    oven = Oven(tmp_path_factory.mktemp("baked"))
    baked: dict[frozenset[tuple[str, str]], BakedProject] = {}

    def bake(**answers: str) -> BakedProject:
        key = frozenset(answers.items())
        if key not in baked:
            baked[key] = oven.bake(answers)
        return baked[key]

    return bake


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Return the variables by which projects of one Python share packages, and what mypy knows of them."""
    folder = tmp_path_factory.mktemp("shared")

    def variables(project: BakedProject) -> dict[str, str]:
        python = interpreter_for(project.answers["python_version"])
        place = folder / "-".join(map(str, version_of(python) or ()))
        return {
            "UV_PYTHON": str(python),
            "UV_PROJECT_ENVIRONMENT": str(place / "environment"),
            "MYPY_CACHE_DIR": str(place / "mypy"),
        }

    return variables


@pytest.fixture
def oven(tmp_path: Path) -> Oven:
    """Bake into a folder of the test's own."""
    folder = tmp_path / "oven"
    folder.mkdir()
    return Oven(folder)


@pytest.fixture
def template_repository(tmp_path: Path) -> Path:
    """Return the template as a git repository, with what is not committed yet."""
    folder = tmp_path / "cookiecutter-mlops"
    folder.mkdir()
    for name in ("cookiecutter.json", *(file.name for file in TEMPLATE.glob("*.py"))):
        shutil.copyfile(TEMPLATE / name, folder / name)
    for name in ("hooks", "templates", SKELETON.name):
        shutil.copytree(TEMPLATE / name, folder / name)
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "core.autocrlf=false"]
    for command in (
        ["init", "--quiet"],
        ["add", "--all", "--force"],
        [*who, "commit", "--quiet", "-m", "All"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """Docker, or podman under its name."""
    if not is_daemon_here() and (missing := lacking()):
        assert CONTAINERS_REQUIRED not in os.environ, f"images cannot be built without {', '.join(missing)}"
        pytest.skip(f"no Docker daemon answers, and to do without one, this is missing: {', '.join(missing)}")
    with docker_or_podman(tmp_path_factory.mktemp("docker"), PYTHON) as docker:
        yield docker
