"""What a version says of itself, and that whatever loads it refuses one whose files or feature code changed."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import CodeChangedError, ProjectError, PromotionRefusedError
from {{ cookiecutter.__package }}.features import OPERATIONS
from {{ cookiecutter.__package }}.files import hash_file
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.manifest import GOLDEN_FILE, ONNX_FILE
from {{ cookiecutter.__package }}.modeling.model import load_model
from {{ cookiecutter.__package }}.modeling.prediction import load_latest, predict_file
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import (
    change_config,
    copy_version,
    make_candidate,
    make_toy,
    read_files,
    run_pipeline,
)


def test_the_version_tells_what_it_was_made_from_and_what_its_files_are(trained: Project) -> None:
    manifest = load_latest(trained).manifest
    assert (manifest.version, manifest.table) == ("v1", trained.schema)
    assert manifest.estimator == trained.model.estimator
    assert manifest.data.rows["train"] > 0
    assert trained.model.gate.metric in manifest.metrics["test"]
    assert {"python", "scikit-learn", "onnxruntime"} <= manifest.environment.keys()
    assert set(manifest.labels) <= set(trained.schema.labels)
    assert bool(manifest.labels) == (trained.schema.task == "classification")
    assert manifest.parity.rows > 0
    for name, record in manifest.files.items():
        assert hash_file(Registry(trained.models).folder("v1") / name) == record.sha256


@pytest.mark.parametrize("name", ["model.onnx", "golden.json"])
def test_a_changed_or_missing_file_is_not_loaded(trained_toy: Project, name: str) -> None:
    path = Registry(trained_toy.models).folder("v1") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProjectError, match=rf"{name} is not the file its manifest describes"):
        load_latest(trained_toy)
    path.unlink()
    with pytest.raises(ProjectError, match=rf"{name} is missing"):
        load_latest(trained_toy)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("versioned/v1/manifest.json", '"seed": 0', '"seed": 1', "was changed after v1 was promoted"),
        ("latest/pointer.json", '"version": "v1"', '"version": "v9"', "names v9, which is not in"),
        ("latest/pointer.json", "{", "", "is damaged; restore it, or remove it and promote again"),
    ],
)
def test_an_edited_manifest_or_pointer_is_not_trusted(
    trained_toy: Project, file: str, old: str, new: str, message: str
) -> None:
    path = trained_toy.models / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ProjectError, match=message):
        load_latest(trained_toy)


def test_the_same_data_and_settings_give_the_same_bytes_and_another_seed_another_model(trained_toy: Project) -> None:
    before = read_files(trained_toy.candidate)
    train_model(trained_toy)
    assert read_files(trained_toy.candidate) == before
    small = {"random_forest": {"n_estimators": 5}}
    forest = change_config(trained_toy, "model", estimator="random_forest", hyperparameters=small)
    first = train_model(forest).files[ONNX_FILE]
    assert train_model(change_config(forest, "model", seed=5)).files[ONNX_FILE] != first


def test_the_version_names_its_commit_and_a_new_commit_alone_makes_no_new_model(trained_toy: Project) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, cwd=trained_toy.root, check=True, capture_output=True, text=True).stdout.strip()

    for command in (["init"], ["add", "config"], ["commit", "-m", "first"]):
        git(*command)
    promote_model(trained_toy, force_reason="a test")
    assert load_latest(trained_toy).manifest.commit == git("rev-parse", "--short=12", "HEAD")
    git("commit", "--allow-empty", "-m", "second")
    train_model(trained_toy)
    assert "stays v2" in promote_model(trained_toy)
    promote_model(change_config(trained_toy, "model", card={"limits": "toys"}), force_reason="a test")
    assert load_latest(trained_toy).manifest.commit == f"{git('rev-parse', '--short=12', 'HEAD')}-dirty"


def test_a_model_of_other_feature_engineering_is_not_loaded(trained_toy: Project) -> None:
    manifest = trained_toy.candidate / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"features": content["features"][::-1]}))
    with pytest.raises(ProjectError, match="other feature engineering"):
        load_model(trained_toy.candidate)


RATIO = {"name": "ratio", "operation": "ratio", "columns": ["size", "age"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy whose v1, which is latest, and v2 have a feature computed from two columns; for copies alone."""
    project = change_config(make_toy(tmp_path_factory.mktemp("derived")), "model", features={"derived": [RATIO]})
    run_pipeline(project)
    copy_version(project)
    return project


@pytest.fixture
def swapped(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The toy under feature code that takes the two columns the other way round."""
    shutil.copytree(finished.root, tmp_path, dirs_exist_ok=True)
    monkeypatch.setitem(OPERATIONS, "ratio", lambda left, right: right / left)
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (lambda project: predict_file(project, project.raw / "rows.csv", project.root / "scored.csv"), "v1"),
        (evaluate_model, "candidate"),
        (promote_model, "candidate"),
        (lambda project: roll_back(project, "v2"), "v2"),
    ],
    ids=["predict", "evaluate", "promote", "rollback"],
)
def test_swapped_operands_are_refused_with_the_version_the_row_and_what_to_do(
    swapped: Project, load: Callable[[Project], object], name: str
) -> None:
    message = rf"^{name} does not score .*golden row 1: feature 'ratio' was .* and is .*restore the code, or train and"
    with pytest.raises(CodeChangedError, match=message):
        load(swapped)
    assert Registry(swapped.models).latest() == "v1"


def test_code_that_was_changed_on_purpose_is_promoted_with_consent(swapped: Project) -> None:
    make_candidate(swapped)
    with pytest.raises(PromotionRefusedError, match=r"v1 does not score as .*run `promote --new-schema`"):
        promote_model(swapped)
    assert promote_model(swapped, new_schema=True) == "models/latest is now v3"


def test_an_operation_that_is_gone_is_named(swapped: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OPERATIONS, "ratio")
    with pytest.raises(CodeChangedError, match=r"v1 does not fit the present feature code, restore .*'ratio'"):
        load_model(Registry(swapped.models).folder("v1"))


def test_other_weights_under_the_same_features_are_refused(trained_toy: Project) -> None:
    path = trained_toy.candidate / GOLDEN_FILE
    golden = json.loads(path.read_text())
    golden["scores"][2] = golden["scores"][2][::-1]
    path.write_text(json.dumps(golden))
    manifest = trained_toy.candidate / "manifest.json"
    files = json.loads(manifest.read_text())["files"] | {GOLDEN_FILE: {"sha256": hash_file(path), "bytes": 1}}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"files": files}))
    with pytest.raises(CodeChangedError, match="golden row 3: the probability of 'big' was"):
        load_model(trained_toy.candidate)


def _rewrite_manifest(project: Project, version: str, **changes: object) -> None:
    """Change what a version says of itself, and let `latest` point to that."""
    registry = Registry(project.models)
    path = registry.folder(version) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    registry.move_latest(version, "a test")


def test_a_manifest_of_an_older_release_may_say_more_and_have_a_skops_file(trained_toy: Project) -> None:
    path = Registry(trained_toy.models).folder("v1") / "model.skops"
    path.write_bytes(b"not read")
    files = json.loads((path.parent / "manifest.json").read_text())["files"]
    files["model.skops"] = {"sha256": hash_file(path), "bytes": 8}
    gate = {"metric": "log_loss", "against": None, "gain": None, "confidence": None, "number": 1, "asked": 0.975}
    parity = {"rows": 80, "largest_difference": 0, "share_beyond_tolerance": 0, "passed": True, "reason": ""}
    _rewrite_manifest(trained_toy, "v1", runtime="onnx", files=files, gate=gate, parity=parity)
    assert load_latest(trained_toy).manifest.version == "v1"
    assert "stays v1" in promote_model(trained_toy)


def test_a_version_that_scikit_learn_served_is_refused_and_a_new_one_goes_past_it_with_consent(
    trained_toy: Project,
) -> None:
    files = json.loads((trained_toy.candidate / "manifest.json").read_text())["files"]
    del files["model.onnx"]
    _rewrite_manifest(trained_toy, "v1", runtime="sklearn", files=files)
    with pytest.raises(ProjectError, match=r"v1 has no model\.onnx: scikit-learn served it.*train and promote again"):
        load_latest(trained_toy)
    with pytest.raises(PromotionRefusedError, match=r"promote --new-schema"):
        promote_model(trained_toy)
    assert promote_model(trained_toy, new_schema=True) == "models/latest is now v2"
