"""The gate, and that it refuses."""

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError, PromotionRefusedError
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.schema import Schema, is_same_table

from .toys import TOY_SCHEMA, change_config, read_files, run_pipeline

WEAK = {"logistic_regression": {"C": 1e-4}}
STRONG = {"logistic_regression": {"C": 10.0}}


def _challenge(project: Project) -> str:
    train_model(project)
    evaluate_model(project)
    return promote_model(project)


def test_the_first_model_needs_only_the_minimum(trained_toy: Project) -> None:
    assert Registry(trained_toy.models).latest() == "v1"


def test_a_model_beyond_the_minimum_is_refused_with_the_number_and_the_setting(toy: Project) -> None:
    strict = change_config(toy, "model", gate={"metric": "log_loss", "minimum": 0.01, "resamples": 100})
    with pytest.raises(PromotionRefusedError, match=r"test log_loss 0\.\d+ is above gate.minimum 0.01"):
        run_pipeline(strict)
    assert Registry(toy.models).versions() == []


def test_a_better_model_becomes_latest(toy: Project) -> None:
    run_pipeline(change_config(toy, "model", hyperparameters=WEAK))
    assert _challenge(change_config(toy, "model", hyperparameters=STRONG)) == "v2"
    assert Registry(toy.models).latest() == "v2"


def test_a_worse_model_is_refused_and_latest_stays(toy: Project) -> None:
    run_pipeline(change_config(toy, "model", hyperparameters=STRONG))
    before = read_files(toy.models / "latest")
    with pytest.raises(PromotionRefusedError, match=r"is not better than that of latest: 0\.\d+ against 0\.\d+"):
        _challenge(change_config(toy, "model", hyperparameters=WEAK))
    assert read_files(toy.models / "latest") == before
    assert Registry(toy.models).versions() == ["v1"]


def test_a_tie_is_refused(trained_toy: Project) -> None:
    with pytest.raises(PromotionRefusedError, match="is not better"):
        _challenge(trained_toy)


def test_the_pipeline_says_so_where_nothing_changed(trained_toy: Project) -> None:
    assert "stays v1" in run_pipeline(trained_toy)
    assert Registry(trained_toy.models).versions() == ["v1"]


def test_a_candidate_that_was_not_evaluated_is_refused(trained_toy: Project) -> None:
    train_model(change_config(trained_toy, "model", hyperparameters=STRONG))
    with pytest.raises(ProjectError, match="run the `evaluate` stage again"):
        promote_model(trained_toy)


def test_a_candidate_that_was_changed_is_refused(trained_toy: Project) -> None:
    train_model(change_config(trained_toy, "model", hyperparameters=STRONG))
    evaluate_model(trained_toy)
    (trained_toy.candidate / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ProjectError, match="is not the file its manifest describes"):
        promote_model(trained_toy)


def test_a_candidate_of_other_data_is_not_evaluated(trained_toy: Project) -> None:
    other = change_config(trained_toy, "pipeline", split={"seed": 3})
    prepare_data(other)
    with pytest.raises(ProjectError, match="run the `train` stage again"):
        evaluate_model(other)


def test_a_damaged_champion_stops_the_comparison(trained_toy: Project) -> None:
    train_model(change_config(trained_toy, "model", hyperparameters=STRONG))
    evaluate_model(trained_toy)
    (Registry(trained_toy.models).folder("v1") / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ProjectError, match="is not the file its manifest describes"):
        promote_model(trained_toy)


def test_another_table_than_that_of_latest_needs_a_word(trained_toy: Project) -> None:
    columns = {name: column for name, column in TOY_SCHEMA["columns"].items() if name != "age"}
    changed = change_config(trained_toy, "schema", columns=columns)
    message = "config/schema.yaml differs from the table that v1 was trained on.*run `promote --new-schema`"
    with pytest.raises(PromotionRefusedError, match=message):
        run_pipeline(changed)
    assert promote_model(changed, new_schema=True) == "v2"
    with pytest.raises(ProjectError, match=r"another table than v2.*run `rollback v1 --new-schema`"):
        roll_back(changed)
    assert Registry(changed.models).latest() == "v2"
    assert roll_back(changed, new_schema=True) == "v1"


def test_a_mark_on_a_column_makes_no_other_table(trained_toy: Project) -> None:
    age = TOY_SCHEMA["columns"]["age"] | {"sensitive": True, "description": "Years since birth"}
    changed = change_config(trained_toy, "schema", columns=TOY_SCHEMA["columns"] | {"age": age})
    train_model(changed)
    evaluate_model(changed)
    with pytest.raises(PromotionRefusedError, match="is not better than that of latest"):
        promote_model(changed)
    assert promote_model(changed, force_reason="the mark") == "v2"
    roll_back(changed)
    assert "rollback, test log_loss 0." in Registry(changed.models).moves()[-1].why


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        ("age", {"maximum": 121}),
        ("age", {"nullable": False}),
        ("age", {"type": "number"}),
        ("age", {"role": "ignored"}),
        ("colour", {"categories": ["green", "red", "blue"]}),
    ],
)
def test_what_a_column_may_hold_makes_another_table(column: str, changes: dict[str, object]) -> None:
    columns = TOY_SCHEMA["columns"] | {column: TOY_SCHEMA["columns"][column] | changes}
    changed = Schema.model_validate(TOY_SCHEMA | {"columns": columns})
    assert not is_same_table(changed, Schema.model_validate(TOY_SCHEMA))


def test_the_version_keeps_its_card_its_pictures_and_the_verdict(toy: Project) -> None:
    run_pipeline(change_config(toy, "model", hyperparameters=WEAK))
    _challenge(change_config(toy, "model", hyperparameters=STRONG))
    registry = Registry(toy.models)
    manifest = registry.manifest("v2")
    assert manifest.gate is not None
    assert manifest.gate.against == "v1"
    assert manifest.gate.confidence is not None
    assert manifest.gate.confidence >= 0.95
    card = (registry.folder("v2") / "model_card.md").read_text(encoding="utf-8")
    assert "Against v1 on the same" in card
    for name in ("confusion_matrix", "calibration", "permutation_importance"):
        assert f"(figures/{name}.png)" in card
        assert f"figures/{name}.png" in manifest.files


def test_a_forced_promotion_keeps_the_reasons_against_it(trained_toy: Project) -> None:
    train_model(change_config(trained_toy, "model", hyperparameters=WEAK))
    evaluate_model(trained_toy)
    assert promote_model(trained_toy, force_reason="the customer asked") == "v2"
    registry = Registry(trained_toy.models)
    gate = registry.manifest("v2").gate
    assert gate is not None
    assert gate.forced == "the customer asked"
    assert "is not better than that of latest" in gate.reasons[0]
    assert "the customer asked" in (registry.folder("v2") / "model_card.md").read_text(encoding="utf-8")


def test_not_even_force_promotes_a_damaged_candidate(trained_toy: Project) -> None:
    (trained_toy.candidate / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ProjectError, match="is not the file its manifest describes"):
        promote_model(trained_toy, force_reason="the customer asked")


def test_a_slice_column_that_is_none_is_named(trained_toy: Project) -> None:
    gate = {"metric": "log_loss", "minimum": 1.0, "slices": {"columns": ["size"]}, "resamples": 100}
    with pytest.raises(ProjectError, match=r"gate.slices.columns has 'size'.*there are 'kind', 'colour'"):
        evaluate_model(change_config(trained_toy, "model", gate=gate))


def test_a_model_that_only_scikit_learn_serves_is_refused_unless_that_is_wanted(trained_toy: Project) -> None:
    strict = {"tolerance": 1e-12, "maximum_share": 0}
    train_model(change_config(trained_toy, "model", hyperparameters=STRONG, parity=strict))
    evaluate_model(trained_toy)
    with pytest.raises(PromotionRefusedError, match=r"cannot be served by ONNX: .*parity.required"):
        promote_model(Project(trained_toy.root))
