"""A version that the present feature code scores otherwise than at its training is refused by whatever loads it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import CodeChangedError, PromotionRefusedError
from {{ cookiecutter.__package }}.features import OPERATIONS
from {{ cookiecutter.__package }}.files import hash_file
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.manifest import GOLDEN_FILE
from {{ cookiecutter.__package }}.modeling.model import load_model
from {{ cookiecutter.__package }}.modeling.prediction import predict_file
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import TOY_SCHEMA, change_config, copy_version, make_toy, run_pipeline

RATIO = {"name": "ratio", "operation": "ratio", "columns": ["size", "age"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy whose v1, which is latest, and v2 have a feature computed from two columns; for copies alone."""
    toy = make_toy(tmp_path_factory.mktemp("derived"))
    project = change_config(toy, "model", features={"derived": [RATIO]})
    run_pipeline(project)
    copy_version(project)
    return project


@pytest.fixture
def derived(finished: Project, tmp_path: Path) -> Project:
    shutil.copytree(finished.root, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path)


def _swap_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "ratio", lambda left, right: right / left)


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
    derived: Project, load: Callable[[Project], object], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _swap_operands(monkeypatch)
    message = rf"^{name} does not score .*golden row 1: feature 'ratio' was .* and is .*restore the code, or train and"
    with pytest.raises(CodeChangedError, match=message):
        load(derived)
    assert Registry(derived.models).latest() == "v1"


def test_code_that_was_changed_on_purpose_is_promoted_with_consent(
    derived: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _swap_operands(monkeypatch)
    train_model(derived)
    evaluate_model(derived)
    with pytest.raises(PromotionRefusedError, match=r"v1 does not score as .*run `promote --new-schema`"):
        promote_model(derived)
    assert promote_model(derived, new_schema=True) == "v3"


def test_an_operation_that_is_gone_is_named(derived: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OPERATIONS, "ratio")
    with pytest.raises(CodeChangedError, match=r"v1 does not fit the present feature code, restore .*'ratio'"):
        load_model(Registry(derived.models).folder("v1"))


def test_other_weights_under_the_same_features_are_refused(trained_toy: Project) -> None:
    folder = trained_toy.candidate
    golden = json.loads((folder / GOLDEN_FILE).read_text())
    golden["scores"][2] = golden["scores"][2][::-1]
    (folder / GOLDEN_FILE).write_text(json.dumps(golden))
    _change_files(trained_toy, {GOLDEN_FILE: {"sha256": hash_file(folder / GOLDEN_FILE), "bytes": 1}})
    with pytest.raises(CodeChangedError, match="golden row 3: the probability of 'big' was"):
        load_model(folder)


def test_a_version_from_before_there_were_golden_rows_is_loaded_and_is_no_other_model(trained_toy: Project) -> None:
    _change_files(trained_toy, {GOLDEN_FILE: None})
    assert promote_model(trained_toy, force_reason="a test") == "v2"
    assert GOLDEN_FILE not in Registry(trained_toy.models).manifest("v2").files
    assert "stays v2" in run_pipeline(trained_toy)


def _change_files(project: Project, changes: dict[str, dict[str, object] | None]) -> None:
    path = project.candidate / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {name: file for name, file in (manifest["files"] | changes).items() if file is not None}
    path.write_text(json.dumps(manifest))
    metrics = project.reports / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"candidate": hash_file(path)}))


def test_values_of_a_sensitive_column_are_made_up(toy: Project) -> None:
    columns = {
        name: column | {"sensitive": True} if name != "kind" else column
        for name, column in TOY_SCHEMA["columns"].items()
    }
    project = change_config(toy, "schema", columns=columns)
    prepare_data(project)
    train_model(project)
    rows = json.loads((project.candidate / GOLDEN_FILE).read_text())["rows"]
    real = (project.raw / "rows.csv").read_text()
    assert rows
    assert not any(str(row["size"]) in real for row in rows)
    assert all(0 <= row["size"] <= 100 and row["age"] == round(row["age"]) for row in rows)
