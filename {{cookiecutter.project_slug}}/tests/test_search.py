"""What `train` chooses, from which rows, and that the choice is exported as it is."""

from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import ModelSettings, ParitySettings, Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.features import FeaturePlan
from {{ cookiecutter.__package }}.modeling.dataset import Dataset
from {{ cookiecutter.__package }}.modeling.estimators import ESTIMATORS, Choice, fit_pipeline, make_folds
from {{ cookiecutter.__package }}.modeling.export import export_pipeline
from {{ cookiecutter.__package }}.modeling.search import Try
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.schema import Schema, Task

from .toys import TOY_MODEL, change_config, make_toy, read_files, write_config, write_raw

SMALL = {"random_forest": {"n_estimators": 20}, "hist_gradient_boosting": {"max_iter": 20}}
FAMILIES = {name for name, kind in ESTIMATORS["classification"].items() if kind.space}


def settings(**changes: Any) -> ModelSettings:
    return ModelSettings.model_validate(TOY_MODEL | changes)


def make_plane(root: Path, is_crossed: bool) -> Project:
    """A toy whose rows are told apart by a line through a plane, or by two that cross."""
    project, generator = make_toy(root), np.random.default_rng(0)
    columns = {"kind": {"type": "category", "categories": ["yes", "no"]}} | {
        name: {"type": "number"} for name in ("x", "y")
    }
    write_config(root, "schema", {"task": "classification", "target": "kind", "columns": columns})
    rows = generator.normal(size=(500, 2))
    side = rows[:, 0] * rows[:, 1] if is_crossed else rows.sum(axis=1) + generator.logistic(size=500) / 2
    write_raw(
        root, [f"{'yes' if s > 0 else 'no'},{x},{y}" for s, (x, y) in zip(side, rows, strict=True)], header="kind,x,y"
    )
    prepare_data(project)
    return project


@pytest.mark.parametrize("is_crossed", [True, False])
def test_auto_takes_what_the_rows_ask_for_and_keeps_the_tries(tmp_path: Path, is_crossed: bool) -> None:
    project = make_plane(tmp_path, is_crossed)
    manifest = train_model(change_config(project, "model", estimator="auto", hyperparameters=SMALL))
    chosen = {manifest.estimator, *(manifest.hyperparameters if manifest.estimator == "blend" else ())}
    assert ("logistic_regression" in chosen) != is_crossed
    assert manifest.runtime == "onnx", manifest.parity.reason
    tries = pl.read_csv(project.reports / "tables" / "search.csv")
    assert set(tries["estimator"]) - {"blend"} == FAMILIES


def test_each_estimator_is_tried_once_however_short_the_time_and_not_all_trials_after_it(prepared: Project) -> None:
    search = {"trials": 500, "minutes": 1e-6}
    train_model(change_config(prepared, "model", estimator="auto", hyperparameters=SMALL, search=search))
    tries = pl.read_csv(prepared.reports / "tables" / "search.csv")
    tried = tries.filter(pl.col("estimator") != "blend")["estimator"]
    assert set(tried) == set(FAMILIES)
    assert len(tried) < 10


def test_the_same_data_and_settings_give_the_same_bytes(prepared: Project) -> None:
    project = change_config(prepared, "model", estimator="auto", hyperparameters=SMALL, search={"trials": 6})
    train_model(project)
    before = read_files(project.candidate)
    train_model(project)
    assert read_files(project.candidate) == before


@pytest.mark.parametrize("by_label", [True, False])
def test_no_fold_parts_a_group(by_label: bool) -> None:
    groups = np.arange(60) // 3
    rows = Dataset({}, np.arange(60) % 2 if by_label else np.linspace(0, 1, 60), groups=groups)
    folds = make_folds(rows, settings())
    assert len(folds) == 4
    assert not any(set(groups[fitted]) & set(groups[left]) for fitted, left in folds)
    rare = Dataset({}, (np.arange(60) % 15 == 0).astype(int), groups=groups)
    assert [rare.target[left].sum() for _, left in make_folds(rare, settings())] == [1] * 4


@pytest.mark.parametrize(("gains", "is_sure"), [([0.01, 0.02, 0.01, 0.02], True), ([0.1, -0.1, 0.1, 0.0], False)])
def test_what_is_usual_is_left_only_for_a_gain_beyond_its_standard_error(gains: list[float], is_sure: bool) -> None:
    usual = Try(Choice("random_forest", {}), np.array([0.7, 0.8, 0.9, 0.6]), np.empty(0), 0)
    assert usual._replace(gains=usual.gains + gains).is_surely_better(usual) == is_sure
    assert not usual._replace(gains=usual.gains - gains).is_surely_better(usual)


def test_folds_in_order_of_time_fit_on_what_came_before() -> None:
    times = np.random.default_rng(0).permutation(60)
    rows = Dataset({}, np.arange(60) % 2, groups=np.arange(60), times=times)
    assert all(times[fitted].max() < times[left].min() for fitted, left in make_folds(rows, settings()))
    once = make_folds(rows, settings(), each_once=True)
    assert sorted(np.concatenate([left for _, left in once])) == list(range(60))


def test_validation_rows_are_measured_first_and_then_trained_on(prepared: Project) -> None:
    before = train_model(prepared)
    for path in (prepared.splits / "validation").iterdir():
        frame = pl.read_parquet(path)
        kind = frame["kind"].dtype
        frame.with_columns(pl.col("kind").cast(str).replace({"big": "small", "small": "big"}).cast(kind)).write_parquet(
            path
        )
    after = train_model(prepared)
    assert after.metrics["validation"]["accuracy"] == pytest.approx(1 - before.metrics["validation"]["accuracy"])
    assert after.files["model.onnx"] != before.files["model.onnx"]


def test_any_estimator_may_be_named_by_its_import_path(prepared: Project) -> None:
    path = "sklearn.ensemble.ExtraTreesClassifier"
    hyperparameters = {path: {"n_estimators": 10, "min_samples_leaf": 5}}
    manifest = train_model(change_config(prepared, "model", estimator=path, hyperparameters=hyperparameters))
    assert (manifest.estimator, manifest.runtime, manifest.hyperparameters) == (path, "onnx", hyperparameters[path])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": "nowhere.Forest"}, r"'nowhere.Forest' cannot be imported .*`uv add --optional training`"),
        ({"estimator": "sklearn.linear_model.Lasso"}, r"'sklearn.linear_model.Lasso' is no estimator for a classif"),
        (
            {"estimator": "sklearn.semi_supervised.LabelSpreading"},
            r"LabelSpreading cannot become ONNX.*parity.required",
        ),
        ({"calibration": "isotonic"}, r"isotonic calibration cannot become ONNX"),
    ],
)
def test_what_cannot_be_trained_or_served_is_told_before_training(
    prepared: Project, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        train_model(change_config(prepared, "model", **changes))
    assert not prepared.candidate.exists()


@pytest.mark.parametrize(
    "changes", [{"estimator": "sklearn.semi_supervised.LabelSpreading"}, {"calibration": "isotonic"}]
)
def test_without_onnx_scikit_learn_serves_where_that_is_allowed(prepared: Project, changes: dict[str, Any]) -> None:
    manifest = train_model(change_config(prepared, "model", parity={"required": False}, **changes))
    assert manifest.runtime == "sklearn"


@pytest.mark.parametrize("estimator", ["logistic_regression", "hist_gradient_boosting"])
def test_calibrated_probabilities_are_exported(prepared: Project, estimator: str) -> None:
    changed = change_config(prepared, "model", estimator=estimator, hyperparameters=SMALL, calibration="sigmoid")
    manifest = train_model(changed)
    assert manifest.runtime == "onnx", manifest.parity.reason


class Places(NamedTuple):
    """As much of a plan as estimators look at."""

    names: tuple[str, ...]
    codes: tuple[int, ...]
    texts: tuple[tuple[int, int], ...]


@pytest.mark.parametrize(("task", "labels"), [("classification", 2), ("classification", 3), ("regression", 0)])
def test_a_blend_codes_and_texts_are_learned_and_exported(task: Task, labels: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    plain, texts = generator.normal(size=(400, 2)), generator.random((400, 40)) * (generator.random((400, 40)) < 0.2)
    codes = generator.integers(-1, 50, (400, 1))
    matrix = np.hstack([plain, codes, texts]).astype(np.float32)
    matrix[::7, 0] = np.nan
    effect = generator.normal(size=51)[codes[:, 0]] + texts[:, 3]
    target = np.digitize(effect, np.quantile(effect, np.arange(1, labels) / labels)) if labels else effect
    plan = cast(FeaturePlan, Places(tuple(map(str, range(43))), (2,), ((3, 43),)))
    names = "logistic_regression" if labels else "ridge", "random_forest", "hist_gradient_boosting"
    choice = Choice("blend", {name: {"weight": 1 / 3, **SMALL.get(name, {})} for name in names})
    columns = {"y": {"type": "category", "categories": [*"abc"[:labels]]} if labels else {"type": "number"}}
    schema = Schema.model_validate({"task": task, "target": "y", "columns": columns | {"x": {"type": "number"}}})
    pipeline = fit_pipeline(schema, settings(), plan, Dataset({}, target), matrix, choice)
    unseen = matrix.copy()
    unseen[::2, 2] = 60_000
    record, _ = export_pipeline(pipeline, (unseen, target), ParitySettings(), tmp_path)
    assert record.passed, record.reason
