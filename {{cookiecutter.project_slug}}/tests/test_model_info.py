"""What a version says of itself, and what is refused when it is not true."""

import json
import subprocess

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.files import hash_file
from {{ cookiecutter.__package }}.modeling.manifest import ONNX_FILE
from {{ cookiecutter.__package }}.modeling.model import load_model
from {{ cookiecutter.__package }}.modeling.prediction import load_latest
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import change_config, read_files, run_pipeline


def test_the_version_tells_what_it_was_made_from(trained: Project) -> None:
    manifest = load_latest(trained).manifest
    assert manifest.version == "v1"
    assert manifest.table == trained.schema
    assert manifest.estimator == trained.model.estimator
    assert manifest.data.rows["train"] > 0
    assert trained.model.gate.metric in manifest.metrics["test"]
    assert {"python", "scikit-learn", "onnxruntime"} <= manifest.environment.keys()


def test_the_labels_are_the_schemas(trained: Project) -> None:
    labels = load_latest(trained).manifest.labels
    assert set(labels) <= set(trained.schema.labels)
    assert bool(labels) == (trained.schema.task == "classification")


def test_each_file_of_a_version_has_its_hash(trained: Project) -> None:
    registry = Registry(trained.models)
    manifest = registry.manifest("v1")
    for name, record in manifest.files.items():
        assert hash_file(registry.folder("v1") / name) == record.sha256


def test_the_model_agrees_with_the_one_it_was_exported_from(trained: Project) -> None:
    manifest = load_latest(trained).manifest
    assert manifest.parity.rows > 0
    assert manifest.parity.passed == (manifest.runtime == "onnx")
    assert manifest.parity.passed or not trained.model.parity.required


@pytest.mark.parametrize("name", ["model.onnx", "model.skops"])
def test_a_changed_file_is_not_loaded(trained_toy: Project, name: str) -> None:
    path = Registry(trained_toy.models).folder("v1") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProjectError, match=rf"{name} is not the file its manifest describes"):
        load_latest(trained_toy)


def test_a_missing_file_is_named(trained_toy: Project) -> None:
    (Registry(trained_toy.models).folder("v1") / ONNX_FILE).unlink()
    with pytest.raises(ProjectError, match=r"model\.onnx is missing"):
        load_latest(trained_toy)


def test_a_manifest_that_was_edited_after_promotion_is_not_trusted(trained_toy: Project) -> None:
    path = Registry(trained_toy.models).folder("v1") / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ProjectError, match="was changed after v1 was promoted"):
        load_latest(trained_toy)


def test_a_pointer_to_nowhere_is_named(trained_toy: Project) -> None:
    registry = Registry(trained_toy.models)
    registry.pointer.write_text(registry.pointer.read_text().replace('"version": "v1"', '"version": "v9"'))
    with pytest.raises(ProjectError, match="names v9, which is not in"):
        load_latest(trained_toy)


def test_without_a_version_the_message_says_what_to_run(toy: Project) -> None:
    with pytest.raises(ProjectError, match="run the `pipeline` command first"):
        load_latest(toy)


def test_the_same_data_and_settings_give_the_same_bytes(trained_toy: Project) -> None:
    before = read_files(trained_toy.candidate)
    train_model(trained_toy)
    assert read_files(trained_toy.candidate) == before


def test_another_seed_gives_another_model(trained_toy: Project) -> None:
    small = {"random_forest": {"n_estimators": 5}}
    forest = change_config(trained_toy, "model", estimator="random_forest", hyperparameters=small)
    first = train_model(forest).files[ONNX_FILE]
    assert train_model(change_config(forest, "model", seed=5)).files[ONNX_FILE] != first


def _git(project: Project, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=project.root, check=True, capture_output=True, text=True).stdout.strip()


def test_the_version_names_its_commit_and_a_new_commit_alone_makes_no_new_model(toy: Project) -> None:
    for command in (["init"], ["add", "config"], ["commit", "-m", "first"]):
        _git(toy, *command)
    run_pipeline(toy)
    assert load_latest(toy).manifest.commit == _git(toy, "rev-parse", "--short=12", "HEAD")
    _git(toy, "commit", "--allow-empty", "-m", "second")
    assert "stays v1" in run_pipeline(toy)
    change_config(toy, "model", card={"limits": "toys"})
    promote_model(toy, force_reason="a test")
    assert load_latest(toy).manifest.commit == f"{_git(toy, 'rev-parse', '--short=12', 'HEAD')}-dirty"


def test_a_model_of_other_feature_engineering_is_not_loaded(trained_toy: Project) -> None:
    manifest = trained_toy.candidate / "manifest.json"
    content = json.loads(manifest.read_text())
    content["features"] = content["features"][::-1]
    manifest.write_text(json.dumps(content))
    with pytest.raises(ProjectError, match="other feature engineering"):
        load_model(trained_toy.candidate)
