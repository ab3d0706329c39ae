"""Data and models in versions: what dvc.yaml, .gitignore and the Makefile make of DVC and git."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import dvc.cli
import polars as pl
import pytest
import yaml
from dvc.repo import Repo

from {{ cookiecutter.__package }}.config import Project, find_project
from {{ cookiecutter.__package }}.modeling.pipeline import STAGES
from {{ cookiecutter.__package }}.modeling.prediction import predict_file
from {{ cookiecutter.__package }}.modeling.registry import Registry

from .toys import change_config, read_files, run_pipeline, toy_rows, write_raw

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC 3.67 with pygtrie 2.6

HERE = find_project(Path(__file__).parent).root
OWNED = (".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore", "Makefile", "dvc.yaml", "src")
STRONG = {"logistic_regression": {"C": 10.0}}


@pytest.fixture(autouse=True, scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep this machine's settings of DVC and git out, and put this environment's commands first."""
    folder = str(tmp_path_factory.mktemp("machine"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, folder)
        for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
            patch.setenv(name, "test@example.org")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.delenv("PROJECT_ROOT", raising=False)
        yield


@pytest.fixture(scope="module")
def first_commit(finished_toy: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy with a first version, all of it under git and DVC; for copies alone."""
    root = tmp_path_factory.mktemp("first") / "project"
    shutil.copytree(finished_toy.root, root)
    project = Project(root)
    # dvc.yaml names settings one by one, so they are all written out, as they are in a real project.
    change_config(project, "pipeline", **project.pipeline.model_dump(mode="json", exclude_none=True))
    project = change_config(project, "model", **project.model.model_dump(mode="json"))
    included = re.findall(r"(?m)^include (.+)", (HERE / "Makefile").read_text(encoding="utf-8"))
    for name in (*OWNED, *included):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (HERE / name).is_dir() else shutil.copy
        copy(HERE / name, root / name)
    # A stage of one's own may know nothing of toys.
    described = yaml.safe_load((HERE / "dvc.yaml").read_text(encoding="utf-8"))
    described["stages"] = {name: described["stages"][name] for name in ("data", "train", "evaluate")}
    (root / "dvc.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    (root / "uv.lock").write_text("version = 1\n", encoding="utf-8")
    _git(project, "init", "--quiet")
    _dvc(project, "add", "data/raw/rows.csv", "models/versioned/v1")
    _dvc(project, "commit", "--force")
    _commit(project)
    return project


@pytest.fixture(scope="module")
def second_commit(first_commit: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same after other rows and settings made a second version, which `make pipeline` found done."""
    root = tmp_path_factory.mktemp("second") / "project"
    shutil.copytree(first_commit.root, root)
    # What was big is small now, so that the second model is better beyond doubt.
    swapped = {"big": "small", "small": "big"}
    for name, lines in (("rows.csv", toy_rows(450)), ("more rows.csv", toy_rows(50, seed=9))):
        split = [line.partition(",") for line in lines]
        write_raw(root, [f"{swapped[kind]},{rest}" for kind, _, rest in split], name)
    project = change_config(Project(root), "model", hyperparameters=STRONG)
    run_pipeline(project)
    _dvc(project, "commit", "--force")
    assert "latest stays v2" in _make(project, "pipeline")
    _commit(project)
    return project


@pytest.fixture
def first(first_commit: Project, tmp_path: Path) -> Project:
    return Project(shutil.copytree(first_commit.root, tmp_path / "project"))


@pytest.fixture
def second(second_commit: Project, tmp_path: Path) -> Project:
    return Project(shutil.copytree(second_commit.root, tmp_path / "project"))


def _make(project: Project, target: str, succeeds: bool = True) -> str:
    # Without uv, which would look for packages; the commands are those of this environment.
    command = ["make", "--silent", "RUN=", target]
    done = subprocess.run(command, cwd=project.root, capture_output=True, encoding="utf-8", check=False)
    printed = done.stdout + done.stderr
    assert (done.returncode == 0) == succeeds, printed
    return printed


def _dvc(project: Project, *arguments: str) -> None:
    with chdir(project.root):  # which `dvc --cd` would change for good
        assert dvc.cli.main([*arguments, "--quiet"]) == 0


def _git(project: Project, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=project.root, capture_output=True, encoding="utf-8", check=True).stdout


def _commit(project: Project) -> None:
    _git(project, "add", "--all")
    _git(project, "commit", "--quiet", "--message", "As it is")


def _stale(project: Project) -> set[str]:
    with Repo(str(project.root)) as repo:
        return {name.rpartition(":")[2] for name in repo.status()}


def _shared_files(project: Project) -> dict[str, bytes]:
    tables = project.reports / "tables"
    folders = (project.raw, project.splits, project.candidate, project.figures, tables, project.models / "versioned")
    return {f"{folder.name}/{name}": content for folder in folders for name, content in read_files(folder).items()}


def test_git_keeps_pointers_and_metrics_and_a_second_run_changes_nothing(second: Project) -> None:
    kept = set(_git(second, "ls-files").splitlines())
    pointers = {"data/raw/rows.csv.dvc", "data/raw/more rows.csv.dvc"}
    pointers |= {"models/versioned/v1.dvc", "models/versioned/v2.dvc"}
    assert {"reports/metrics.json", "models/latest/pointer.json", "dvc.lock"} <= kept
    assert {name for name in kept if name.startswith(("data/", "models/versioned/", "models/candidate/"))} == pointers
    before = _shared_files(second)
    _dvc(second, "repro")
    assert _shared_files(second) == before
    assert _git(second, "status", "--porcelain") == ""


def test_a_commit_brings_back_its_data_and_its_model(second_commit: Project, first_commit: Project) -> None:
    after = _shared_files(second_commit)
    for commit, version, files in (("HEAD~1", "v1", _shared_files(first_commit)), ("-", "v2", after)):
        _git(second_commit, "checkout", "--quiet", commit)
        _dvc(second_commit, "checkout")
        assert _shared_files(second_commit) == files
        assert Registry(second_commit.models).latest() == version


def test_a_clone_pulls_the_same_bytes_and_predicts(second: Project, tmp_path: Path) -> None:
    _dvc(second, "remote", "add", "--default", "storage", str(tmp_path / "store"))
    _make(second, "push")
    _commit(second)
    clone = Project(tmp_path / "clone")
    _git(second, "clone", "--quiet", ".", str(clone.root))
    assert not (clone.raw / "rows.csv").exists()
    _make(clone, "pull")
    assert _shared_files(clone) == _shared_files(second)
    assert predict_file(clone, clone.raw / "rows.csv", tmp_path / "scored.csv").version == "v2"
    assert len(pl.read_csv(tmp_path / "scored.csv")) == 450


def test_a_stage_that_stops_leaves_what_was_made_before(first: Project, capfd: pytest.CaptureFixture[str]) -> None:
    before = _shared_files(first)
    change_config(first, "schema", target="weight")
    with chdir(first.root):
        assert dvc.cli.main(["repro"]) != 0
    assert "target 'weight' is not one of the columns" in capfd.readouterr().err
    assert _shared_files(first) == before


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
def test_a_setting_makes_stale_only_what_reads_it(first: Project, changed: dict[str, Any], stale: set[str]) -> None:
    settings = first.model.model_dump(mode="json")
    change_config(first, "model", **{name: settings[name] | value for name, value in changed.items()})
    assert _stale(first) == stale


def test_adopting_and_exploring_are_no_part_of_the_stages(first: Project) -> None:
    (data,) = (first.root / "src").glob("*/data")
    for name, stale in (("exploration", set()), ("validation", {"data"})):
        (data / f"{name}.py").write_text("# of one's own\n", encoding="utf-8")
        assert _stale(first) == stale


def test_each_stage_is_the_command_of_its_name() -> None:
    stages = yaml.safe_load((HERE / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {name: stage["cmd"].split()[1] for name, stage in stages.items()} == {
        stage.name: stage.name for stage in STAGES
    }


def test_a_version_that_was_not_fetched_keeps_its_number(second: Project) -> None:
    shutil.rmtree(second.models / "versioned" / "v2")
    registry = Registry(second.models)
    with registry.locked(), registry.new_version() as (name, _):
        assert name == "v3"


@pytest.mark.parametrize(
    "line",
    [
        "url = s3://AKIA:secret@bucket/folder",  # pragma: allowlist secret
        "url = azure://box/folder?sig=secret",
        "    secret_access_key = secret",
    ],
)
def test_a_secret_in_the_settings_that_git_keeps_is_refused_and_not_repeated(first: Project, line: str) -> None:
    with (first.root / ".dvc" / "config").open("a", encoding="utf-8") as config:
        config.write(f"['remote \"storage\"']\n{line}\n")
    refused = _make(first, "push", succeeds=False)
    assert ".dvc/config has a password or a token" in refused
    assert "secret" not in refused
