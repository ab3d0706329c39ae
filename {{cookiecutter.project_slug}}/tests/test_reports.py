"""What `evaluate` leaves in `reports/`, and the card."""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, Metric
from {{ cookiecutter.__package }}.modeling.pipeline import run_pipeline
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.plots import plot_calibration, plot_scores

from .toys import TOY_HEADER, TOY_SCHEMA, change_config, make_toy, toy_rows, write_raw

PNG = b"\x89PNG"
MARKUP = "<script>alert(1)</script>"


def _read_page(project: Project) -> str:
    return (project.reports / "evaluation.html").read_text(encoding="utf-8")


def _evaluate(project: Project) -> Project:
    prepare_data(project)
    train_model(project)
    evaluate_model(project)
    return project


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy project whose names and values are markup, evaluated; `line` names its rows, `secret` is sensitive."""
    project = make_toy(tmp_path_factory.mktemp("hostile"))
    columns: dict[str, Any] = {MARKUP: TOY_SCHEMA["columns"]["kind"] | {"categories": ["<b>big</b>", "small"]}}
    columns |= {name: column for name, column in TOY_SCHEMA["columns"].items() if name not in ("kind", "note")}
    columns |= {"line": {"type": "text", "role": "identifier"}}
    columns |= {"secret": {"type": "text", "role": "identifier", "sensitive": True}}
    lines = [
        f"{line.replace('big', '<b>big</b>', 1)} <i>{MARKUP},hush{place}" for place, line in enumerate(toy_rows(400))
    ]
    header = TOY_HEADER.replace("kind", MARKUP).replace("note", "line") + ",secret"
    write_raw(project.root, lines, header=header)
    return _evaluate(change_config(project, "schema", target=MARKUP, columns=columns))


def test_evaluate_writes_metrics_tables_and_pictures(trained: Project) -> None:
    metrics = json.loads((trained.reports / "metrics.json").read_text())
    assert trained.model.gate.metric in metrics["metrics"]["test"]
    kind = {"classification": ["confusion_matrix", "calibration"], "regression": ["residuals", "predicted_values"]}
    for name in [*kind[trained.schema.task], "permutation_importance"]:
        assert (trained.figures / f"{name}.png").read_bytes().startswith(PNG)
    predictions = pl.read_csv(trained.reports / "tables" / "test_predictions.csv")
    assert predictions.height == metrics["rows"]["test"]


def test_the_column_that_makes_the_label_is_the_most_important(trained_toy: Project) -> None:
    importance = pl.read_csv(trained_toy.reports / "tables" / "permutation_importance.csv")
    assert importance["column"][0] == "size"
    assert importance["loss"][0] > 0.1
    assert importance["deviation"].is_between(0, importance["loss"][0]).all()


def test_each_test_prediction_names_its_row_and_has_all_probabilities(hostile: Project) -> None:
    predictions = pl.read_csv(hostile.reports / "tables" / "test_predictions.csv")
    assert set(predictions["file"]) == {"rows.csv"}
    raw = pl.read_csv(hostile.raw / "rows.csv").with_row_index("row", offset=1)
    joined = predictions.join(raw, on="row", how="left", suffix=" of the file")
    assert joined["truth"].to_list() == joined[MARKUP].to_list()
    assert joined["line"].to_list() == joined["line of the file"].to_list()
    probabilities = predictions.select("probability <b>big</b>", "probability small")
    assert probabilities.sum_horizontal().to_list() == pytest.approx([1.0] * predictions.height)
    assert predictions["probability"].to_list() == probabilities.max_horizontal().to_list()


def test_sensitive_values_are_in_no_report(hostile: Project) -> None:
    assert not re.search("hush[0-9]", (hostile.reports / "tables" / "test_predictions.csv").read_text())
    assert not re.search("hush[0-9]", _read_page(hostile))


def test_the_page_escapes_names_and_values(hostile: Project) -> None:
    page = _read_page(hostile)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;big&lt;/b&gt;" in page
    assert not re.search("<script|<b>|<i>", page)


def test_the_page_asks_the_network_for_nothing(trained: Project) -> None:
    page = _read_page(trained)
    assert set(re.findall(r"(?:src|href)=.(\w+:)", page)) == {"data:"}
    assert not re.search("https?:|@import|url\\(", page)
    assert page.count("<img ") == len(list(trained.figures.glob("*.png")))


def test_the_page_opens_with_the_metric_its_interval_the_minimum_and_latest(trained_toy: Project) -> None:
    metrics = json.loads((trained_toy.reports / "metrics.json").read_text())
    value, (low, high) = metrics["metrics"]["test"]["log_loss"], metrics["intervals"]["log_loss"]
    assert "There is no version yet to compare it with." in _read_page(trained_toy)
    evaluate_model(change_config(trained_toy, "model", gate={"metric": "log_loss", "minimum": 0.001}))
    top = _read_page(trained_toy).split("<h2>")[0]
    assert f"<strong>{value:.4f}</strong>" in top
    assert f"95% interval {low:.4f} to {high:.4f}" in top
    assert (
        "Does not reach the gate&#39;s minimum of 0.001" in top or "Does not reach the gate's minimum of 0.001" in top
    )
    assert f"v1, the version in <code>latest</code>, had {value:.4f} on" in top


def test_a_damaged_latest_does_not_stop_the_evaluation(trained_toy: Project) -> None:
    (trained_toy.models / "latest" / "pointer.json").write_text("{}")
    evaluate_model(trained_toy)
    assert "There is no version yet" in _read_page(trained_toy)


def test_the_page_shows_the_rows_that_are_most_wrong(hostile: Project) -> None:
    predictions = pl.read_csv(hostile.reports / "tables" / "test_predictions.csv")
    wrong = predictions.filter(pl.col("truth") != pl.col("prediction")).sort("probability", descending=True)
    shown = re.findall(r"<bdi>(line \d+) ", _read_page(hostile))
    assert len(shown) == 10
    assert shown[0] == str(wrong["line"][0]).split(" <i>")[0]


def test_the_rows_of_a_sensitive_target_are_not_shown(toy: Project) -> None:
    columns = TOY_SCHEMA["columns"] | {"kind": TOY_SCHEMA["columns"]["kind"] | {"sensitive": True}}
    page = _read_page(_evaluate(change_config(toy, "schema", columns=columns)))
    assert "marks the target as sensitive" in page
    assert "rows.csv" not in page


@pytest.fixture
def with_cost() -> Iterator[None]:
    """A metric as an owner would add it: one entry. A `small` (1) that is missed costs five times the other."""

    def cost(truth: Any, probabilities: Any) -> float:
        return float(np.mean(np.where(truth == 1, 5 * probabilities[:, 0], probabilities[:, 1])))

    METRICS["classification"]["cost"] = Metric(cost, greater_is_better=False)
    yield
    del METRICS["classification"]["cost"]


@pytest.mark.usefixtures("with_cost")
def test_a_metric_of_ones_own_is_one_entry_and_reaches_gate_intervals_and_card(toy: Project) -> None:
    run_pipeline(change_config(toy, "model", gate={"metric": "cost", "minimum": 2.0, "resamples": 100}))
    manifest = Registry(toy.models).manifest("v1")
    assert manifest.gate is not None
    assert manifest.gate.metric == "cost"
    assert manifest.intervals["cost"][0] < manifest.metrics["test"]["cost"] < manifest.intervals["cost"][1]
    assert "| cost |" in (toy.models / "versioned" / "v1" / "model_card.md").read_text()


def test_calibration_has_bins_of_equal_counts_and_keeps_equal_probabilities_together() -> None:
    given = np.concatenate([np.linspace(0, 0.5, 80), np.full(40, 0.9)])
    truth = (given > 0.25).astype(int)
    curve, counts = plot_calibration(truth, np.column_stack([1 - given, given]), ["no", "yes"]).axes
    assert [line.get_label() for line in curve.get_lines()] == ["perfect", "yes"]
    heights = [bar[1][1] - bar[0][1] for bar in counts.collections[0].get_segments()]  # type: ignore[attr-defined]
    assert heights == [12] * 6 + [8, 40]


@pytest.mark.parametrize(("labels", "panels"), [(2, 1), (4, 4), (30, 6)])
def test_of_two_labels_one_is_drawn_and_of_many_the_most_frequent(labels: int, panels: int) -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(labels), 500)
    names = [f"label {place}" for place in range(labels)]
    figure = plot_scores(generator.integers(0, labels, 500), probabilities, names)
    assert sum(axes.axison for axes in figure.axes) == panels
