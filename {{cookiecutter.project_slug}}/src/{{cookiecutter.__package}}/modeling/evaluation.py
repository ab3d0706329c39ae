"""The `evaluate` stage: the candidate's metrics, tables and pictures on rows it never saw."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..config import Project
from ..data_processing.preparation import read_summary
from ..errors import ProjectError
from ..plots import (
    plot_calibration,
    plot_confusion_matrix,
    plot_importance,
    plot_predicted_values,
    plot_residuals,
    save_figure,
)
from ..utils.files import hash_file, write_bytes, write_json
from ..utils.logger import get_logger
from ..utils.progress import track
from .dataset import Dataset, encode_labels, read_dataset
from .manifest import MANIFEST_FILE, Manifest
from .metrics import Metric, compute_metrics, find_metric
from .predictor import Predictor, Scores, load_predictor

METRICS_FILE = "metrics.json"

_REPEATS = 5

_logger = get_logger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one candidate by split: `candidate` is the hash of its manifest."""

    candidate: str
    data: str
    rows: dict[str, int]
    metrics: dict[str, dict[str, float]]


def evaluate_model(project: Project) -> Evaluation:
    """Score the candidate on the validation and test rows and write `reports/`.

    Raises:
        ProjectError: there is no candidate or no prepared data, or they do not belong together.
    """
    predictor = load_predictor(project.candidate)
    summary = read_summary(project)
    if predictor.manifest.data.sha256 != summary.sha256:
        raise ProjectError("The candidate was trained on other data than is prepared now; run the `train` stage again.")
    metrics, rows = {}, {}
    for split in ("validation", "test"):
        dataset = read_dataset(project.splits, split, project.schema)
        metrics[split] = score_predictor(predictor, dataset)
        rows[split] = len(dataset)
    evaluation = Evaluation(hash_file(project.candidate / MANIFEST_FILE), summary.sha256, rows, metrics)
    write_json(project.reports / METRICS_FILE, vars(evaluation))
    _write_report(project, predictor, read_dataset(project.splits, "test", project.schema))
    for name, value in metrics["test"].items():
        _logger.info("Test %s: %.4f", name, value)
    return evaluation


def read_evaluation(project: Project) -> Evaluation:
    """The evaluation of the present candidate.

    Raises:
        ProjectError: `evaluate` was not run since the last `train`.
    """
    try:
        content = json.loads((project.reports / METRICS_FILE).read_text(encoding="utf-8"))
        evaluation = Evaluation(**content)
    except (OSError, ValueError, TypeError) as error:
        raise ProjectError("The candidate was not evaluated; run the `evaluate` stage first.") from error
    if evaluation.candidate != hash_file(project.candidate / MANIFEST_FILE):
        raise ProjectError("The candidate changed since it was evaluated; run the `evaluate` stage again.")
    return evaluation


def score_predictor(predictor: Predictor, dataset: Dataset) -> dict[str, float]:
    """Each metric of a model on a dataset."""
    truth = _truth(predictor.manifest, dataset)
    return compute_metrics(predictor.manifest.table.task, truth, predictor.predict(dataset.columns))


def _truth(manifest: Manifest, dataset: Dataset) -> NDArray[Any]:
    return encode_labels(dataset.target, manifest.labels) if manifest.labels else dataset.target


def _write_report(project: Project, predictor: Predictor, dataset: Dataset) -> None:
    manifest = predictor.manifest
    figures, tables = project.reports / "figures", project.reports / "tables"
    scores = predictor.predict(dataset.columns)
    truth = _truth(manifest, dataset)
    predictions = _describe_predictions(manifest, dataset, scores)
    write_bytes(tables / "test_predictions.csv", predictions.write_csv().encode())
    if manifest.labels:
        confusion = _count_confusion(truth, scores, len(manifest.labels))
        save_figure(plot_confusion_matrix(confusion, manifest.labels), figures / "confusion_matrix.png")
        save_figure(plot_calibration(truth, scores, manifest.labels), figures / "calibration.png")
    else:
        save_figure(plot_residuals(truth, scores, project.schema.target), figures / "residuals.png")
        save_figure(plot_predicted_values(truth, scores, project.schema.target), figures / "predicted_values.png")
    metric = find_metric(manifest.table.task, project.model.gate.metric)
    importance = _measure_importance(predictor, dataset, truth, metric, project.model.seed)
    write_bytes(tables / "permutation_importance.csv", importance.write_csv().encode())
    save_figure(
        plot_importance(importance["column"].to_list(), importance["loss"].to_list(), project.model.gate.metric),
        figures / "permutation_importance.png",
    )


def _describe_predictions(manifest: Manifest, dataset: Dataset, scores: Scores) -> pl.DataFrame:
    if not manifest.labels:
        return pl.DataFrame({"truth": dataset.target, "prediction": scores})
    chosen = [manifest.labels[place] for place in scores.argmax(axis=1)]
    return pl.DataFrame(
        {"truth": dataset.target.tolist(), "prediction": chosen, "probability": scores.max(axis=1).astype(np.float64)}
    )


def _count_confusion(truth: NDArray[Any], scores: Scores, labels: int) -> NDArray[np.int64]:
    counts = np.zeros((labels, labels), dtype=np.int64)
    known = truth >= 0
    np.add.at(counts, (truth[known], scores.argmax(axis=1)[known]), 1)
    return counts


def _measure_importance(
    predictor: Predictor, dataset: Dataset, truth: NDArray[Any], metric: Metric, seed: int
) -> pl.DataFrame:
    # How much the metric loses when a column is shuffled (Breiman, 2001), measured on the model as
    # it is served.
    generator = np.random.default_rng(seed)
    base = metric.compute(truth, predictor.predict(dataset.columns))
    sign = 1 if metric.greater_is_better else -1
    losses = {}
    for name in track(list(dataset.columns), "Measuring importance"):
        shuffled = [
            metric.compute(
                truth, predictor.predict({**dataset.columns, name: generator.permutation(dataset.columns[name])})
            )
            for _ in range(_REPEATS)
        ]
        losses[name] = sign * (base - float(np.mean(shuffled)))
    return pl.DataFrame({"column": list(losses), "loss": list(losses.values())}).sort("loss", descending=True)
