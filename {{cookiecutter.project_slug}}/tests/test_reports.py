"""What the stages leave in `reports/`."""

import json

import polars as pl

from {{ cookiecutter.__package }}.config import Project

PNG = b"\x89PNG"


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
