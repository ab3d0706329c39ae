"""The gate, and that it refuses."""

import random
import re
import shutil
from pathlib import Path

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError, PromotionRefusedError
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.promotion import preview_promotion, promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import TOY_MODEL, TOY_SCHEMA, change_config, make_candidate, read_files, run_pipeline, toy_rows, write_raw

WEAK = {"logistic_regression": {"C": 1e-4}}
COLUMNS = TOY_SCHEMA["columns"]
GATE = TOY_MODEL["gate"]


@pytest.fixture(scope="module")
def finished_worse(finished_toy: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy with a first version, and a candidate that is worse; for copies alone."""
    root = tmp_path_factory.mktemp("worse")
    shutil.copytree(finished_toy.root, root, dirs_exist_ok=True)
    return make_candidate(Project(root), hyperparameters=WEAK)


@pytest.fixture
def worse(finished_worse: Project, tmp_path: Path) -> Project:
    shutil.copytree(finished_worse.root, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path)


def test_a_worse_model_is_refused_and_latest_stays(worse: Project) -> None:
    before = read_files(worse.models)
    with pytest.raises(PromotionRefusedError, match=r"is not better than that of latest \(v1\): 0\.\d+ against 0\.\d+"):
        promote_model(worse)
    assert read_files(worse.models) == before


def test_a_dry_run_says_what_the_gate_says_and_moves_nothing(worse: Project) -> None:
    before = read_files(worse.models)
    said, *reasons = preview_promotion(worse).splitlines()
    assert read_files(worse.models) == before
    with pytest.raises(PromotionRefusedError) as refused:
        promote_model(worse)
    assert all(reason in str(refused.value) for reason in reasons)
    page = (worse.reports / "comparison.md").read_text(encoding="utf-8")
    assert f"## {said}\n" in page
    assert said == "The gate would refuse this candidate:"
    assert all(f"- {reason}\n" in page for reason in reasons)


def test_a_comparison_has_each_metric_of_both_models(worse: Project) -> None:
    promote_model(worse, force_reason="to have a weak one")
    better = make_candidate(worse, hyperparameters={})
    assert preview_promotion(better) == "The gate would let this candidate pass."
    page = (worse.reports / "comparison.md").read_text(encoding="utf-8")
    assert "# logistic_regression against v2" in page
    for name, value in Registry(worse.models).manifest("v2").metrics["test"].items():
        assert re.search(rf"(?m)^\| {name} \| [\d.]+ \|.* \| {value:.4f} \|$", page)


def test_a_first_model_of_random_labels_is_refused_and_the_sentence_says_so(toy: Project) -> None:
    lines = toy_rows(300)
    labels = random.Random(5).choices(["big", "small"], k=300)
    write_raw(toy.root, [f"{label},{line.split(',', 1)[1]}" for label, line in zip(labels, lines, strict=True)])
    with pytest.raises(PromotionRefusedError, match=r"(?s)log_loss is .*that of the best constant answer.*unset"):
        run_pipeline(toy)
    assert Registry(toy.models).versions() == []


def test_a_forced_promotion_keeps_the_reasons_against_it(worse: Project) -> None:
    assert promote_model(worse, force_reason="the customer asked") == "models/latest is now v2"
    registry = Registry(worse.models)
    gate = registry.manifest("v2").gate
    assert gate is not None
    assert gate.forced == "the customer asked"
    assert "is not better than that of latest" in gate.reasons[-1]
    assert "the customer asked" in (registry.folder("v2") / "model_card.md").read_text(encoding="utf-8")


def test_a_better_model_becomes_latest_and_keeps_its_card_its_pictures_and_the_verdict(worse: Project) -> None:
    promote_model(worse, force_reason="to have a weak one")
    assert promote_model(make_candidate(worse, hyperparameters={})) == "models/latest is now v3"
    registry = Registry(worse.models)
    manifest = registry.manifest("v3")
    assert registry.latest() == "v3"
    assert manifest.gate is not None
    assert (manifest.gate.against, manifest.gate.reasons) == ("v2", ())
    assert manifest.gate.compared[-1].confidence >= 0.95
    card = (registry.folder("v3") / "model_card.md").read_text(encoding="utf-8")
    assert "Against latest (v2) on the same" in card
    for name in ("confusion_matrix", "calibration", "permutation_importance"):
        assert f"(figures/{name}.png)" in card
        assert f"figures/{name}.png" in manifest.files


def test_the_model_that_is_latest_once_more_changes_nothing(trained_toy: Project) -> None:
    before = read_files(trained_toy.models)
    assert "stays v1" in promote_model(trained_toy)
    assert read_files(trained_toy.models) == before


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"minimum": 0.01}, r"test log_loss 0\.\d+ is above gate.minimum 0.01"),
        ({"slices": {"columns": ["size"]}}, r"gate.slices.columns has 'size'.*which has 'kind', 'colour'"),
    ],
)
def test_what_the_gate_asks_for_is_named(worse: Project, gate: dict[str, object], message: str) -> None:
    changed = {"metric": "log_loss", "minimum": 1.0, "resamples": 100} | gate
    with pytest.raises(ProjectError, match=message):
        promote_model(change_config(worse, "model", gate=changed))
    assert Registry(worse.models).versions() == ["v1"]


def test_what_does_not_belong_together_is_neither_evaluated_nor_promoted(trained_toy: Project) -> None:
    train_model(change_config(trained_toy, "model", hyperparameters=WEAK))
    with pytest.raises(ProjectError, match="run the `evaluate` stage again"):
        promote_model(trained_toy)
    other = change_config(trained_toy, "pipeline", split={"seed": 3})
    prepare_data(other)
    with pytest.raises(ProjectError, match="run the `train` stage again"):
        evaluate_model(other)


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [("candidate", ""), ("candidate", "the customer asked"), ("versioned/v1", "")],
)
def test_a_damaged_candidate_or_champion_is_refused(worse: Project, damaged: str, reason: str) -> None:
    (worse.models / damaged / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ProjectError, match="is not the file its manifest describes"):
        promote_model(worse, force_reason=reason)


def test_another_table_than_that_of_latest_needs_a_word(trained_toy: Project) -> None:
    columns = {name: column for name, column in COLUMNS.items() if name != "age"}
    changed = change_config(trained_toy, "schema", columns=columns)
    message = "config/schema.yaml differs from the table that v1 was trained on.*run `promote --new-schema`"
    with pytest.raises(PromotionRefusedError, match=message):
        run_pipeline(changed)
    assert promote_model(changed, new_schema=True) == "models/latest is now v2"
    with pytest.raises(ProjectError, match=r"another table than v2.*run `rollback v1 --new-schema`"):
        roll_back(changed)
    assert Registry(changed.models).latest() == "v2"
    assert roll_back(changed, new_schema=True) == "v1"
