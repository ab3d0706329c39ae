"""A version that the present feature code scores otherwise than at its training is refused by whatever loads it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import CodeChangedError, PromotionRefusedError
from {{ cookiecutter.__package }}.features import OPERATIONS
from {{ cookiecutter.__package }}.files import hash_file
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.manifest import GOLDEN_FILE
from {{ cookiecutter.__package }}.modeling.model import load_model
from {{ cookiecutter.__package }}.modeling.pipeline import promote_if_new
from {{ cookiecutter.__package }}.modeling.prediction import predict_file
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import TOY_SCHEMA, change_config, copy_version, make_candidate, make_toy, run_pipeline

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
    assert promote_model(swapped, new_schema=True) == "v3"


def test_an_operation_that_is_gone_is_named(swapped: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OPERATIONS, "ratio")
    with pytest.raises(CodeChangedError, match=r"v1 does not fit the present feature code, restore .*'ratio'"):
        load_model(Registry(swapped.models).folder("v1"))


def test_other_weights_under_the_same_features_are_refused(trained_toy: Project) -> None:
    path = trained_toy.candidate / GOLDEN_FILE
    golden = json.loads(path.read_text())
    golden["scores"][2] = golden["scores"][2][::-1]
    path.write_text(json.dumps(golden))
    _record_golden(trained_toy, {GOLDEN_FILE: {"sha256": hash_file(path), "bytes": 1}})
    with pytest.raises(CodeChangedError, match="golden row 3: the probability of 'big' was"):
        load_model(trained_toy.candidate)


def test_a_version_from_before_there_were_golden_rows_is_loaded_and_is_no_other_model(trained_toy: Project) -> None:
    _record_golden(trained_toy, {})
    assert promote_model(trained_toy, force_reason="a test") == "v2"
    assert GOLDEN_FILE not in Registry(trained_toy.models).manifest("v2").files
    train_model(trained_toy)
    assert "stays v2" in promote_if_new(trained_toy)


def _record_golden(project: Project, record: dict[str, object]) -> None:
    path, metrics = project.candidate / "manifest.json", project.reports / "metrics.json"
    manifest = json.loads(path.read_text())
    del manifest["files"][GOLDEN_FILE]
    manifest["files"] |= record
    path.write_text(json.dumps(manifest))
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"candidate": hash_file(path)}))


def test_values_of_a_sensitive_column_are_made_up(prepared: Project) -> None:
    columns = {name: column | {"sensitive": name != "kind"} for name, column in TOY_SCHEMA["columns"].items()}
    train_model(change_config(prepared, "schema", columns=columns))
    rows = json.loads((prepared.candidate / GOLDEN_FILE).read_text())["rows"]
    real = (prepared.raw / "rows.csv").read_text()
    assert rows
    assert not any(str(row["size"]) in real for row in rows)
    assert all(0 <= row["size"] <= 100 and row["age"] == round(row["age"]) for row in rows)
