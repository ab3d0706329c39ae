"""What `evaluate` leaves in `reports/`, and the card."""

import json
import re

import numpy as np
import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling import pipeline
from {{ cookiecutter.__package }}.modeling.manifest import read_manifest
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, Metric
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.report import read_evaluation

from .toys import (
    TOY_HEADER,
    TOY_SCHEMA,
    change_config,
    make_candidate,
    make_toy,
    run_pipeline,
    toy_rows,
    write_raw,
)

PREDICTIONS = "tables/test_predictions.csv"
MARKUP = "<script>alert(1)</script>"


def _read_page(project: Project) -> str:
    return (project.reports / "evaluation.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy project of markup as names and values, with an identifier `note` and a sensitive one, `latest` damaged."""
    project = make_toy(tmp_path_factory.mktemp("hostile"))
    secret = {"type": "text", "role": "identifier", "sensitive": True}
    columns = TOY_SCHEMA["columns"] | {"note": secret | {"sensitive": False}, "secret": secret}
    columns[MARKUP] = columns.pop("kind") | {"categories": ["<b>big</b>", "small"]}
    lines = [f"{line.replace('big', '<b>big</b>')} <i>{MARKUP},hush{place}" for place, line in enumerate(toy_rows(400))]
    write_raw(project.root, lines, header=TOY_HEADER.replace("kind", MARKUP) + ",secret")
    project = change_config(project, "schema", target=MARKUP, columns=columns)
    (project.models / "latest").mkdir(parents=True)
    (project.models / "latest" / "pointer.json").write_text("{}")
    with pytest.raises(ProjectError, match="pointer"):  # of `promote`
        pipeline.run_pipeline(project)
    return project


def test_evaluate_writes_metrics_tables_and_pictures(trained: Project) -> None:
    metrics = json.loads((trained.reports / "metrics.json").read_text())
    assert trained.model.gate.metric in metrics["metrics"]["test"]
    kind = {"classification": {"confusion_matrix", "calibration"}, "regression": {"residuals", "predicted_values"}}
    pictures = {path.stem for path in trained.figures.iterdir() if path.read_bytes().startswith(b"\x89PNG")}
    assert pictures >= kind[trained.schema.task] | {"permutation_importance"}
    assert pl.read_csv(trained.reports / PREDICTIONS).height == read_manifest(trained.candidate).data.rows["test"]


def test_the_column_that_makes_the_label_is_the_most_important(trained_toy: Project) -> None:
    column, loss, deviation = pl.read_csv(trained_toy.reports / "tables" / "permutation_importance.csv").row(0)
    assert column == "size"
    assert loss > max(0.1, deviation)


def test_each_test_prediction_names_its_row_and_has_all_probabilities(hostile: Project) -> None:
    predictions = pl.read_csv(hostile.reports / PREDICTIONS)
    assert set(predictions["file"]) == {"rows.csv"}
    raw = pl.read_csv(hostile.raw / "rows.csv").with_row_index("row", offset=1)
    joined = predictions.join(raw, on="row", how="left", suffix=" of the file")
    assert joined["truth"].to_list() == joined[MARKUP].to_list()
    assert joined["note"].to_list() == joined["note of the file"].to_list()
    probabilities = predictions.select("probability <b>big</b>", "probability small")
    assert probabilities.sum_horizontal().to_list() == pytest.approx([1.0] * predictions.height)


def test_the_page_opens_with_the_metric_its_interval_and_the_minimum(trained_toy: Project) -> None:
    strict = read_evaluation(make_candidate(trained_toy, gate={"metric": "log_loss", "minimum": 0.001}))
    value, (low, high) = strict.metrics["test"]["log_loss"], strict.intervals["log_loss"]
    top = _read_page(trained_toy).split("<h2>")[0]
    assert f"<strong>{value:.4f}</strong>" in top
    assert f"95% interval {low:.4f} to {high:.4f}" in top
    assert "Does not reach the gate's minimum of 0.001" in top


def test_page_card_and_record_hold_the_candidate_against_a_constant(trained_toy: Project) -> None:
    record = read_evaluation(make_candidate(trained_toy))
    constant = record.metrics["constant"]
    assert constant["roc_auc"] == 0.5
    assert record.constant.confidence > 0.99
    said = "Against the best constant answer on the same"
    assert said in _read_page(trained_toy)
    promote_model(trained_toy, force_reason="for its card")
    card = (Registry(trained_toy.models).folder("v2") / "model_card.md").read_text(encoding="utf-8")
    assert f"instead of {constant['log_loss']:.4f}" in card
    assert "| Metric | Test | 95% interval | Validation | Constant | latest |" in card
    assert "| roc_auc |" in card
    assert said in card


def test_a_metric_of_ones_own_reaches_gate_intervals_and_card(toy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # A `small` (1) that is missed costs twice the other.
    cost = Metric(lambda truth, given: float(np.mean(np.where(truth == 1, 2 * given[:, 0], given[:, 1]))), False)
    monkeypatch.setitem(METRICS["classification"], "missed_small", cost)
    run_pipeline(change_config(toy, "model", gate={"metric": "missed_small", "minimum": 2.0, "resamples": 100}))
    manifest = Registry(toy.models).manifest("v1")
    low, high = manifest.intervals["missed_small"]
    assert low < manifest.metrics["test"]["missed_small"] < high
    assert "test missed_small 0." in Registry(toy.models).moves()[-1].why
    assert re.search(r"\n\| missed_small \|.*\n\n", (toy.models / "versioned" / "v1" / "model_card.md").read_text())
