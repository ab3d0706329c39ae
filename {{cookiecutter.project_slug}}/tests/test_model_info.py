"""What a version says of itself, and what is refused when it is not true."""

import json
import subprocess

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.files import hash_file
from {{ cookiecutter.__package }}.modeling.manifest import ONNX_FILE
from {{ cookiecutter.__package }}.modeling.model import load_model
from {{ cookiecutter.__package }}.modeling.pipeline import promote_if_new
from {{ cookiecutter.__package }}.modeling.prediction import load_latest
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import change_config, read_files


def test_the_version_tells_what_it_was_made_from_and_what_its_files_are(trained: Project) -> None:
    manifest = load_latest(trained).manifest
    assert (manifest.version, manifest.table) == ("v1", trained.schema)
    assert manifest.estimator == trained.model.estimator
    assert manifest.data.rows["train"] > 0
    assert trained.model.gate.metric in manifest.metrics["test"]
    assert {"python", "scikit-learn", "onnxruntime"} <= manifest.environment.keys()
    assert set(manifest.labels) <= set(trained.schema.labels)
    assert bool(manifest.labels) == (trained.schema.task == "classification")
    for name, record in manifest.files.items():
        assert hash_file(Registry(trained.models).folder("v1") / name) == record.sha256


def test_the_model_agrees_with_the_one_it_was_exported_from(trained: Project) -> None:
    manifest = load_latest(trained).manifest
    assert manifest.parity.rows > 0
    assert manifest.parity.passed == (manifest.runtime == "onnx")
    assert manifest.parity.passed or not trained.model.parity.required


@pytest.mark.parametrize("name", ["model.onnx", "model.skops"])
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


def test_without_a_version_the_message_says_what_to_run(toy: Project) -> None:
    with pytest.raises(ProjectError, match="run the `pipeline` command first"):
        load_latest(toy)


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
    assert "stays v2" in promote_if_new(trained_toy)
    promote_model(change_config(trained_toy, "model", card={"limits": "toys"}), force_reason="a test")
    assert load_latest(trained_toy).manifest.commit == f"{git('rev-parse', '--short=12', 'HEAD')}-dirty"


def test_a_model_of_other_feature_engineering_is_not_loaded(trained_toy: Project) -> None:
    manifest = trained_toy.candidate / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"features": content["features"][::-1]}))
    with pytest.raises(ProjectError, match="other feature engineering"):
        load_model(trained_toy.candidate)
