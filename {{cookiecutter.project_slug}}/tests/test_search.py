"""What `train` chooses, from which rows, and that the choice is exported as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import ModelSettings, Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.data.splitting import read_split
from {{ cookiecutter.__package }}.modeling.dataset import Dataset
from {{ cookiecutter.__package }}.modeling.estimators import ESTIMATORS, make_folds
from {{ cookiecutter.__package }}.modeling.training import train_model

from .toys import TOY_MODEL, change_config, make_toy, read_files, write_config, write_raw

SMALL = {"random_forest": {"n_estimators": 20}, "hist_gradient_boosting": {"max_iter": 20}}
FAMILIES = set(ESTIMATORS["classification"])


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
    tries = pl.read_csv(project.reports / "tables" / "search.csv")
    assert set(tries["estimator"]) - {"blend"} == FAMILIES


@pytest.mark.parametrize("by_label", [True, False])
def test_no_fold_parts_a_group(by_label: bool) -> None:
    groups = np.arange(60) // 3
    rows = Dataset({}, np.arange(60) % 2 if by_label else np.linspace(0, 1, 60), groups=groups)
    folds = make_folds(rows, settings())
    assert len(folds) == 4
    assert not any(set(groups[fitted]) & set(groups[left]) for fitted, left in folds)
    rare = Dataset({}, (np.arange(60) % 15 == 0).astype(int), groups=groups)
    assert [rare.target[left].sum() for _, left in make_folds(rare, settings())] == [1] * 4


def test_folds_in_order_of_time_fit_on_what_came_before() -> None:
    times = np.random.default_rng(0).permutation(60)
    rows = Dataset({}, np.arange(60) % 2, groups=np.arange(60), times=times)
    assert all(times[fitted].max() < times[left].min() for fitted, left in make_folds(rows, settings()))


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


def test_the_search_reads_no_test_row(prepared: Project) -> None:
    searched = change_config(prepared, "model", estimator="auto", hyperparameters=SMALL)
    train_model(searched)
    before = read_files(prepared.candidate)
    for path in (prepared.splits / "test").iterdir():
        read_split(prepared.splits, "test").head(0).write_parquet(path)
    train_model(searched)
    assert read_files(prepared.candidate) == before
