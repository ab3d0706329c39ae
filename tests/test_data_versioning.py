"""Data and models of a really baked project go to the clouds' emulators and come back as the same bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

import pytest
import yaml
from baking import SKELETON, BakedProject
from conftest import Bake
from emulators import CLOUDS, Cloud, Gate
from running import environment, free_port

HERE = {
    **{
        f"GIT_{who}_{what}": "test@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
    "GIT_CONFIG_GLOBAL": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_GCE_CHECK": "true",
}
"""Keeps this machine's settings of git and of the clouds out."""

DVC = ("uv", "run", "--all-extras", "dvc")

SHARED = (
    "data/raw",
    "data/processed/splits",
    "models/candidate",
    "models/versioned",
    "reports/figures",
    "reports/tables",
)


@pytest.fixture(scope="module")
def trained(bake: Bake) -> BakedProject:
    """A project with a first version, all of it committed, and with the libraries of each cloud."""
    project = bake(project_slug="versioned-penguins", data_versioning="dvc", serving="none")
    for command in (
        ["make", "setup"],
        ["uv", "add", "--quiet", "--group", "dvc", "dvc-s3", "dvc-azure", "dvc-gs"],
        ["make", "pipeline"],
        ["git", "add", "--all"],
        ["git", "commit", "-qm", "First"],
    ):
        project.run(*command, **HERE)
    return project


@pytest.fixture
def project(trained: BakedProject, tmp_path: Path) -> BakedProject:
    """A copy of the trained project, to be run with the environment of the first."""
    path = tmp_path / trained.slug
    shutil.copytree(trained.path, path, ignore=shutil.ignore_patterns(".venv"))
    return dataclasses.replace(trained, path=path)


@pytest.fixture(scope="module", params=CLOUDS)
def cloud(
    request: pytest.FixtureRequest, trained: BakedProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """A store of each cloud."""
    store = cast(
        "AbstractContextManager[Cloud]",
        CLOUDS[request.param](trained, tmp_path_factory.mktemp(request.param)),
    )
    with store as cloud:
        yield cloud


def only(*clouds: str) -> pytest.MarkDecorator:
    """Run a test on these clouds alone."""
    return pytest.mark.parametrize("cloud", clouds, indirect=True)


@pytest.mark.slow
def test_what_was_pushed_comes_back_as_the_same_bytes(
    project: BakedProject, trained: BakedProject, cloud: Cloud
) -> None:
    before = shared_digests(project)
    add(project, trained, cloud, "same-bytes")
    assert "files pushed" in attempt(project, trained, "make", "push", **cloud.right)
    assert "are in sync" in attempt(project, trained, *DVC, "status", "--cloud", **cloud.right)
    wipe(project)
    attempt(project, trained, "make", "pull", **cloud.right)
    assert shared_digests(project) == before
    written = "".join(project_texts(project))
    assert [secret for secret in cloud.secrets if secret in written] == []


@pytest.mark.slow
@only("s3", "azure")
def test_wrong_credentials_are_refused_and_cost_nothing(
    project: BakedProject, trained: BakedProject, cloud: Cloud
) -> None:
    before = shared_digests(project)
    add(project, trained, cloud, "credentials")
    refused = refusal(project, trained, "make", "push", **cloud.wrong)
    assert "ERROR" in refused
    assert "Traceback" not in refused
    assert shared_digests(project) == before
    attempt(project, trained, "make", "push", **cloud.right)


@pytest.mark.slow
@only("google")
def test_a_bucket_that_is_not_there_is_refused(
    project: BakedProject, trained: BakedProject, cloud: Cloud
) -> None:
    add(project, trained, dataclasses.replace(cloud, url="gs://missing/folder"), "x")
    refused = refusal(project, trained, "make", "push", **cloud.right)
    assert "ERROR" in refused
    assert "Traceback" not in refused


@pytest.mark.slow
@only("s3")
def test_a_remote_that_cannot_be_reached_costs_nothing(
    project: BakedProject, trained: BakedProject, cloud: Cloud
) -> None:
    before = shared_digests(project)
    nobody = {"endpointurl": f"http://127.0.0.1:{free_port()}"}
    add(project, trained, dataclasses.replace(cloud, settings=nobody), "nobody")
    for command in ("push", "pull"):
        if command == "pull":
            shutil.rmtree(project.path / ".dvc" / "cache")
        refused = refusal(project, trained, "make", command, **cloud.right)
        assert "ERROR" in refused
        assert "Traceback" not in refused
    assert shared_digests(project) == before


@pytest.mark.slow
@only("s3")
def test_a_push_that_is_killed_halfway_can_be_finished(
    project: BakedProject, trained: BakedProject, cloud: Cloud
) -> None:
    before = shared_digests(project)
    gate = Gate(int(cloud.settings["endpointurl"].rpartition(":")[2]), uploads=5)
    behind = dataclasses.replace(cloud, settings={"endpointurl": f"http://127.0.0.1:{gate.port}"})
    try:
        add(project, trained, behind, "killed")
        push = subprocess.Popen(
            [*DVC, "push"],
            cwd=project.path,
            env=surroundings(trained, **cloud.right),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        is_halfway = gate.full.wait(60)
        os.killpg(push.pid, signal.SIGKILL)
        push.wait()
        assert is_halfway, "six files were never sent"
        gate.open()
        assert shared_digests(project) == before
        assert "new:" in attempt(project, trained, *DVC, "status", "--cloud", **cloud.right)
        attempt(project, trained, "make", "push", **cloud.right)
        wipe(project)
        attempt(project, trained, "make", "pull", **cloud.right)
    finally:
        gate.close()
    assert shared_digests(project) == before


def test_the_pointer_of_the_sample_table_is_true() -> None:
    table = SKELETON / "data" / "raw" / "penguins.csv"
    pointer = yaml.safe_load(table.with_name("penguins.csv.dvc").read_text(encoding="utf-8"))
    content = table.read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert pointer["outs"] == [{"md5": digest, "size": len(content), "hash": "md5", "path": "penguins.csv"}]


def add(project: BakedProject, trained: BakedProject, cloud: Cloud, name: str) -> None:
    """Set a folder of a store up, as the guide says."""
    attempt(project, trained, *DVC, "remote", "add", "-d", "storage", f"{cloud.url}-{name}")
    for setting, value in cloud.settings.items():
        attempt(project, trained, *DVC, "remote", "modify", "storage", setting, value)


def surroundings(trained: BakedProject, **variables: str) -> dict[str, str]:
    """Return the environment in which a copy of a project uses the first one's packages."""
    kept = {
        name: value
        for name, value in environment().items()
        if not name.startswith(("AWS_", "AZURE_", "GOOGLE_"))
    }
    shared = {"UV_PROJECT_ENVIRONMENT": str(trained.path / ".venv"), "UV_NO_SYNC": "1"}
    return {**kept, **HERE, **shared, **variables}


def attempt(project: BakedProject, trained: BakedProject, *command: str, **variables: str) -> str:
    """Run a command in a copy of a project, which must succeed; return what it printed."""
    done = run(project, trained, command, variables)
    assert done.returncode == 0, done.stdout
    return done.stdout


def refusal(project: BakedProject, trained: BakedProject, *command: str, **variables: str) -> str:
    """Run a command in a copy of a project, which must fail; return what it printed."""
    done = run(project, trained, command, variables)
    assert done.returncode != 0, done.stdout
    return done.stdout


def run(
    project: BakedProject, trained: BakedProject, command: tuple[str, ...], variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy of a project, with its output and its errors in one."""
    return subprocess.run(
        command,
        cwd=project.path,
        env=surroundings(trained, **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )


def wipe(project: BakedProject) -> None:
    """Remove DVC's cache and all that it keeps, but for the pointers."""
    shutil.rmtree(project.path / ".dvc" / "cache")
    for file in shared_digests(project):
        (project.path / file).unlink()


def shared_digests(project: BakedProject) -> dict[str, str]:
    """Return the sha256 of each file that DVC keeps."""
    kept = ("README.md", ".dvc", "metrics.json")
    paths = (path for folder in SHARED for path in sorted((project.path / folder).rglob("*")))
    files = (path for path in paths if path.is_file() and not path.name.endswith(kept))
    return {
        path.relative_to(project.path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def project_texts(project: BakedProject) -> Iterator[str]:
    """Yield the text of each file that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project.path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    for file in filter(None, listed.split("\0")):
        if (project.path / file).is_file():
            yield (project.path / file).read_text(encoding="utf-8", errors="replace")
