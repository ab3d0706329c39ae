"""The weights by which a row gets its label: the best for a metric, and those that every caller uses."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from {{ cookiecutter.__package }}.config import DecisionSettings, GateSettings, ModelSettings, Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.decision import choose_weights, find_decider
from {{ cookiecutter.__package }}.modeling.metrics import METRICS, Metric
from {{ cookiecutter.__package }}.modeling.model import choose_places
from {{ cookiecutter.__package }}.modeling.prediction import load_latest, predict_file
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.schema import Schema

from .toys import change_config, make_toy, run_pipeline, toy_rows, write_raw

NAMES = ("a", "b", "c", "d")


def _schema(labels: int) -> Schema:
    columns = {"kind": {"type": "category", "categories": NAMES[:labels]}, "size": {"type": "number"}}
    return Schema.model_validate({"task": "classification", "target": "kind", "columns": columns})


def _settings(best_for: str) -> ModelSettings:
    decision, gate = DecisionSettings(best_for=best_for), GateSettings(metric="accuracy", minimum=0)
    return ModelSettings(estimator="logistic_regression", gate=gate, decision=decision)


def _make_rare(labels: int = 2) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Rows whose last labels are rare, and probabilities that are right on average."""
    generator = np.random.default_rng(labels)
    probabilities = generator.dirichlet([6, *[0.6] * (labels - 1)], 600)
    return np.array([generator.choice(labels, p=each) for each in probabilities]), probabilities


def test_a_metric_of_ones_own_that_judges_labels_may_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Metric(lambda truth, places: np.mean(places[truth == 1] == 1) - np.mean(places == 1), sees="labels")
    monkeypatch.setitem(METRICS["classification"], "found", found)
    truth, probabilities = _make_rare()
    weights = choose_weights(_schema(2), _settings("found"), NAMES[:2], truth, probabilities)
    assert found.compute(truth, probabilities, weights) > found.compute(truth, probabilities) + 0.1


def test_without_a_wish_or_where_nothing_is_better_the_likeliest_label_wins() -> None:
    truth, probabilities = _make_rare()
    assert choose_weights(_schema(2), _settings(""), NAMES[:2], truth, probabilities) == ()
    assert choose_weights(_schema(2), _settings("f1_macro"), NAMES[:2], truth, np.eye(2)[truth]) == (0.5, 0.5)


@pytest.mark.parametrize("best_for", ["roc_auc", "nothing"])
def test_what_judges_no_labels_cannot_decide(best_for: str) -> None:
    with pytest.raises(ProjectError, match=rf"best_for '{best_for}' judges no labels; name one of accuracy, .*empty"):
        find_decider(_schema(2), _settings(best_for))


@pytest.fixture(scope="module")
def skewed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy with few small ones, where finding them counts as much as finding the big ones."""
    project = make_toy(tmp_path_factory.mktemp("skewed"))
    rows = toy_rows(1000)
    few = [line for line in rows if line.startswith("small")][::8]
    write_raw(project.root, [line for line in rows if line.startswith("big")] + few)
    run_pipeline(change_config(project, "model", decision={"best_for": "balanced_accuracy"}))
    return Project(project.root)


def test_evaluation_card_and_batch_give_the_label_that_the_manifest_decides(skewed: Project) -> None:
    model = load_latest(skewed)
    weights, labels = model.manifest.weights, model.manifest.labels
    assert weights[labels.index("small")] > 0.7
    predict_file(skewed, skewed.raw / "rows.csv", skewed.root / "out.parquet")
    for table in (
        pl.read_csv(skewed.reports / "tables" / "test_predictions.csv"),
        pl.read_parquet(skewed.root / "out.parquet"),
    ):
        scores = table.select(f"probability {label}" for label in labels).to_numpy()
        assert table["prediction"].to_list() == [labels[place] for place in choose_places(scores, weights)]
        assert table["prediction"].to_list() != [labels[place] for place in choose_places(scores)]
    card = (Registry(skewed.models).folder("v1") / "model_card.md").read_text(encoding="utf-8")
    assert "| weight of big | 0." in card
