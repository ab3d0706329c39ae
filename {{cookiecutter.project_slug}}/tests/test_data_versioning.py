"""Data and models in versions: what DVC runs, keeps, shares and brings back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from {{ cookiecutter.__package }}.config import Project, find_project
from {{ cookiecutter.__package }}.data_versioning.remotes import add_remote, check_url
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.pipeline import run_pipeline
from {{ cookiecutter.__package }}.modeling.registry import Registry

from .toys import change_config, make_toy, read_files, toy_rows, write_raw

WEAK = {"logistic_regression": {"C": 1e-4}}
STRONG = {"logistic_regression": {"C": 10.0}}
OWNED = (".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore", "dvc.yaml", "src")


@pytest.fixture(autouse=True, scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Keep this machine's settings of DVC, git and clouds out, and theirs in a temporary folder."""
    folder = str(tmp_path_factory.mktemp("machine"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, folder)
        for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
            patch.setenv(name, "test@example.org")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.delenv("PROJECT_ROOT", raising=False)
        yield


@pytest.fixture(scope="module")
def first_commit(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy project under git and DVC with a first, weak version committed; for copies alone."""
    root = tmp_path_factory.mktemp("versioned") / "project"
    project = make_toy(root)
    # dvc.yaml names settings one by one, so they are all written out, as they are in a real project.
    change_config(project, "pipeline", **project.pipeline.model_dump(mode="json", exclude_none=True))
    settings = project.model.model_dump(mode="json")
    project = change_config(project, "model", **settings | {"hyperparameters": WEAK})
    here = find_project(Path(__file__).parent).root
    for name in OWNED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (here / name).is_dir() else shutil.copy
        copy(here / name, root / name)
    (root / "uv.lock").touch()
    _git(project, "init", "--quiet")
    done = _run(project, "repro")
    assert done.returncode == 0, done.stderr
    _commit(project)
    return project


@pytest.fixture
def project(first_commit: Project, tmp_path: Path) -> Project:
    """A copy of the project with a first version."""
    root = tmp_path / "project"
    shutil.copytree(first_commit.root, root)
    return Project(root)


def _run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "{{ cookiecutter.__package }}", *arguments]
    return subprocess.run(command, cwd=project.root, capture_output=True, encoding="utf-8", check=False)


def _dvc(project: Project, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=project.root, capture_output=True, encoding="utf-8", check=True).stdout


def _git(project: Project, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=project.root, capture_output=True, encoding="utf-8", check=True).stdout


def _commit(project: Project) -> None:
    _git(project, "add", "--all")
    _git(project, "commit", "--quiet", "--message", "As it is")


def _shared_files(project: Project) -> dict[str, bytes]:
    folders = (project.raw, project.splits, project.candidate, project.reports, Registry(project.models).versioned)
    return {f"{folder.name}/{name}": content for folder in folders for name, content in read_files(folder).items()}


@pytest.fixture(scope="module")
def pushed(first_commit: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project that was pushed to a folder `store` beside it; for copies alone."""
    root = tmp_path_factory.mktemp("pushed") / "project"
    shutil.copytree(first_commit.root, root)
    for arguments in (["remote", "add", "../store"], ["push"]):
        done = _run(Project(root), *arguments)
        assert done.returncode == 0, done.stderr
    return Project(root)


@pytest.fixture
def wiped(pushed: Project, tmp_path: Path) -> Project:
    """A copy of the pushed project without cache, data and models."""
    root = tmp_path / "project"
    shutil.copytree(pushed.root, root)
    project = Project(root)
    for folder in (project.root / ".dvc" / "cache", project.splits, project.candidate, project.models / "versioned/v1"):
        shutil.rmtree(folder)
    (project.raw / "rows.csv").unlink()
    return project


def test_git_keeps_pointers_and_metrics_and_neither_data_nor_models(project: Project) -> None:
    kept = set(_git(project, "ls-files").splitlines())
    assert {"data/raw/rows.csv.dvc", "models/versioned/v1.dvc", "models/latest/pointer.json", "dvc.lock"} <= kept
    assert "reports/metrics.json" in kept
    assert {name for name in kept if name.startswith(("data/", "models/versioned/", "models/candidate/"))} == {
        "data/raw/rows.csv.dvc",
        "models/versioned/v1.dvc",
    }


def test_a_second_run_runs_nothing_and_changes_nothing(project: Project) -> None:
    done = _run(project, "repro")
    assert done.returncode == 0, done.stderr
    assert "Running stage" not in done.stdout
    assert "latest stays v1" in done.stdout
    assert _git(project, "status", "--porcelain") == ""


def test_dvc_and_the_pipeline_make_the_same_bytes(project: Project) -> None:
    made = _shared_files(project)
    run_pipeline(project)
    assert _shared_files(project) == made


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ({"hyperparameters": STRONG}, {"train"}),
        ({"gate": {"metric": "accuracy"}}, {"train", "evaluate"}),
        ({"gate": {"slices": {"columns": ["colour"], "minimum_rows": 30}}}, {"evaluate"}),
        ({"gate": {"minimum": 2.0, "confidence": 0.9}, "card": {"limits": "toys"}}, set()),
    ],
    ids=["hyperparameters", "metric", "slices", "limits of the gate and card"],
)
def test_a_setting_makes_stale_only_what_reads_it(project: Project, changed: dict[str, Any], stale: set[str]) -> None:
    settings = project.model.model_dump(mode="json")
    for name, value in changed.items():
        settings[name] |= value
    change_config(project, "model", **settings)
    assert set(json.loads(_dvc(project, "status", "--json"))) == stale


def test_an_old_commit_brings_back_its_data_and_its_model(project: Project) -> None:
    before = _shared_files(project)
    write_raw(project.root, toy_rows(450))
    change_config(project, "model", hyperparameters=STRONG)
    done = _run(project, "repro")
    assert "models/latest is now v2" in done.stdout, done.stderr
    _commit(project)
    after = _shared_files(project)
    _git(project, "checkout", "--quiet", "HEAD~1")
    _dvc(project, "checkout")
    assert _shared_files(project) == before
    assert Registry(project.models).latest() == "v1"
    _git(project, "checkout", "--quiet", "-")
    _dvc(project, "checkout")
    assert _shared_files(project) == after
    assert Registry(project.models).latest() == "v2"


def test_a_stage_that_stops_leaves_what_was_made_before(project: Project) -> None:
    before = _shared_files(project)
    change_config(project, "model", hyperparameters={"logistic_regression": {"C": -1.0}})
    done = _run(project, "repro")
    assert done.returncode == 1
    assert "cannot be trained" in done.stderr
    assert "what it made before is still there" in done.stderr
    assert _shared_files(project) == before


def test_what_was_pushed_to_a_folder_comes_back_as_the_same_bytes(wiped: Project, pushed: Project) -> None:
    assert _shared_files(wiped) != _shared_files(pushed)
    done = _run(wiped, "pull")
    assert done.returncode == 0, done.stderr
    assert _shared_files(wiped) == _shared_files(pushed)


def test_a_pull_that_finds_nothing_says_so(wiped: Project, pushed: Project) -> None:
    store = pushed.root.parent / "store"
    aside = store.rename(pushed.root.parent / "aside")
    refused = _run(wiped, "pull")
    aside.rename(store)
    assert refused.returncode == 1
    assert "Not everything came" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_pulling_never_writes_over_a_file_that_was_changed_here(wiped: Project) -> None:
    edited = write_raw(wiped.root, toy_rows(5))
    content = edited.read_bytes()
    refused = _run(wiped, "pull")
    assert refused.returncode == 1
    assert "Nothing that you changed was written over" in refused.stderr
    assert edited.read_bytes() == content


def test_a_version_that_was_not_fetched_stops_the_pipeline_before_its_number_is_given_again(project: Project) -> None:
    shutil.rmtree(project.models / "versioned" / "v1")
    refused = _run(project, "repro")
    assert refused.returncode == 1
    assert "Not here: v1" in refused.stderr


@pytest.mark.parametrize("command", [["push"], ["pull"], ["remote", "check"]], ids=" ".join)
def test_without_a_remote_there_is_one_message(project: Project, command: list[str]) -> None:
    refused = _run(project, *command)
    assert refused.returncode == 1
    assert "No remote is set up; run `remote add URL`" in refused.stderr


def test_without_git_there_is_one_message(project: Project) -> None:
    shutil.rmtree(project.root / ".git", ignore_errors=True)
    refused = _run(project, "repro")
    assert refused.returncode == 1
    assert "run `git init` in it" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_where_the_repository_around_ignores_the_project_there_is_one_message(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    around = Project(project.root.parent)
    _git(around, "init", "--quiet")
    (around.root / ".gitignore").write_text("/project/\n", encoding="utf-8")
    refused = _run(project, "repro")
    assert refused.returncode == 1
    assert "is ignored by the git repository around it" in refused.stderr
    assert "run `git init` in it" in refused.stderr


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("", {}, "is empty"),
        ("ftp://host/data", {}, "ftp:// is no remote known here"),
        ("s3://", {}, "names no bucket"),
        ("azure:///folder", {}, "names no container"),
        ("s3://bucket", {"account": "me"}, "--account means nothing to Amazon S3"),
        ("s3://bucket", {"endpoint": "minio:9000"}, "is no address"),
        ("s3://AKIA:secret@bucket", {}, "credentials belong in the environment"),
        ("azure://container?sig=secret", {}, "credentials belong in the environment"),
        ("s3://bucket", {"endpoint": "https://me:secret@host"}, "credentials belong in the environment"),
        (".", {}, "is part of the project"),
        ("dvc.yaml", {}, "is a file"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_nothing_is_written(
    project: Project, url: str, options: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    before = read_files(project.root / ".dvc")
    with pytest.raises(ProjectError) as refused:
        add_remote(project, url, options)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)
    assert read_files(project.root / ".dvc") == before


def test_a_remote_is_given_up_only_on_demand(project: Project) -> None:
    assert _run(project, "remote", "add", "s3://first").returncode == 0
    config = project.root / ".dvc" / "config"
    refused = _run(project, "remote", "add", "gs://second")
    assert refused.returncode == 1
    assert "There is a remote, s3://first; add --replace" in refused.stderr
    assert "s3://first" in config.read_text(encoding="utf-8")
    assert _run(project, "remote", "add", "gs://second", "--replace").returncode == 0
    assert "gs://second" in config.read_text(encoding="utf-8")


@pytest.mark.parametrize("url", ["s3://bucket/folder", "azure://container", "gs://bucket", "/srv/data", "../data"])
def test_clouds_and_folders_are_known(url: str) -> None:
    assert check_url(url).credentials
