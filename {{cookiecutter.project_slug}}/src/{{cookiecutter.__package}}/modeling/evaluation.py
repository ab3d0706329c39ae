"""The `evaluate` stage: the candidate's metrics, tables and pictures on rows it never saw."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..config import Project
from ..data.preparation import read_summary
from ..errors import ProjectError
from ..files import hash_file, staged_folder, write_bytes, write_json
from ..plots import (
    plot_calibration,
    plot_confusion_matrix,
    plot_importance,
    plot_predicted_values,
    plot_residuals,
    save_figure,
)
from ..schema import Schema
from ..terminal import get_logger, track
from ..tracking.run import resume_run
from .bootstrap import measure_interval, sample_rows
from .dataset import Dataset, align_scores, read_dataset, read_slices
from .manifest import MANIFEST_FILE
from .metrics import METRICS, Metric, compute_metrics, find_metric
from .model import Model, Scores, load_model

METRICS_FILE = "metrics.json"
SLICES_TABLE = "slices.csv"
IMPORTANCE_TABLE = "permutation_importance.csv"

_REPEATS = 5

_logger = get_logger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one candidate by split: `candidate` is the hash of its manifest.

    `intervals` holds the middle 95% of the bootstrap's values of each test metric.
    """

    candidate: str
    data: str
    rows: dict[str, int]
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, tuple[float, float]]


def evaluate_model(project: Project) -> Evaluation:
    """Score the candidate on the validation and test rows and write `reports/`; logged in the candidate's run.

    Raises:
        ProjectError: there is no candidate or no prepared data, or they do not belong together.
    """
    predictor = load_model(project.candidate)
    with resume_run(project, hash_file(project.candidate / MANIFEST_FILE)) as run:
        evaluation, files = _evaluate(project, predictor)
        for split, values in evaluation.metrics.items():
            run.log_metrics({f"{split}_{name}": value for name, value in values.items()})
        for path in files:
            run.log_file(path, path.parent.relative_to(project.reports).as_posix())
        run.reach("evaluated")
    return evaluation


def _evaluate(project: Project, predictor: Model) -> tuple[Evaluation, list[Path]]:
    summary = read_summary(project)
    if predictor.manifest.data.sha256 != summary.sha256:
        raise ProjectError("The candidate was trained on other data than is prepared now; run the `train` stage again.")
    task = project.schema.task
    validation = read_dataset(project.splits, "validation", project.schema)
    test = read_dataset(project.splits, "test", project.schema)
    scores = score_dataset(predictor, test, project.schema)
    metrics = {
        "validation": compute_metrics(task, validation.target, score_dataset(predictor, validation, project.schema)),
        "test": compute_metrics(task, test.target, scores),
    }
    evaluation = Evaluation(
        candidate=hash_file(project.candidate / MANIFEST_FILE),
        data=summary.sha256,
        rows={"validation": len(validation), "test": len(test)},
        metrics=metrics,
        intervals=_measure_intervals(project, test, scores),
    )
    files = _write_report(project, predictor, test, scores)
    write_json(project.reports / METRICS_FILE, asdict(evaluation))
    for name, value in metrics["test"].items():
        low, high = evaluation.intervals.get(name, (float("nan"), float("nan")))
        _logger.info("Test %s: %.4f (95%% interval %.4f to %.4f)", name, value, low, high)
    return evaluation, files


def read_evaluation(project: Project) -> Evaluation:
    """The evaluation of the present candidate.

    Raises:
        ProjectError: `evaluate` was not run since the last `train`.
    """
    try:
        content = json.loads((project.reports / METRICS_FILE).read_text(encoding="utf-8"))
        content["intervals"] = {name: (low, high) for name, (low, high) in content["intervals"].items()}
        evaluation = Evaluation(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ProjectError("The candidate was not evaluated; run the `evaluate` stage first.") from error
    if evaluation.candidate != hash_file(project.candidate / MANIFEST_FILE):
        raise ProjectError("The candidate changed since it was evaluated; run the `evaluate` stage again.")
    return evaluation


def score_dataset(predictor: Model, dataset: Dataset, schema: Schema) -> Scores:
    """A model's scores of a dataset, with a probability for each label of the schema."""
    return align_scores(predictor.predict(dataset.columns), predictor.manifest.labels, schema)


def _measure_intervals(project: Project, test: Dataset, scores: Scores) -> dict[str, tuple[float, float]]:
    intervals = {}
    for name, metric in track(list(METRICS[project.schema.task].items()), "Measuring intervals"):
        interval = measure_interval(metric, test.target, scores, project.model.seed)
        if interval is not None:
            intervals[name] = (interval.low, interval.high)
    return intervals


def _write_report(project: Project, predictor: Model, test: Dataset, scores: Scores) -> list[Path]:
    """Write tables and pictures; those that are small and tell of the model alone."""
    schema, gate = project.schema, project.model.gate
    tables = project.reports / "tables"
    truth = test.target
    metric = find_metric(schema.task, gate.metric)
    predictions = _describe_predictions(schema, truth, scores)
    write_bytes(tables / "test_predictions.csv", predictions.write_csv().encode())
    slices = _describe_slices(project, metric, truth, scores)
    write_bytes(tables / SLICES_TABLE, slices.write_csv().encode())
    if schema.labels:
        confusion = _count_confusion(truth, scores, len(schema.labels))
        pictures = {
            "confusion_matrix.png": plot_confusion_matrix(confusion, schema.labels),
            "calibration.png": plot_calibration(truth, scores, schema.labels),
        }
    else:
        shown = sample_rows(len(truth), project.model.seed)
        values, predicted = truth[shown], scores[shown]
        pictures = {
            "residuals.png": plot_residuals(values, predicted, schema.target),
            "predicted_values.png": plot_predicted_values(values, predicted, schema.target),
        }
    importance = _measure_importance(project, predictor, test, metric)
    write_bytes(tables / IMPORTANCE_TABLE, importance.write_csv().encode())
    pictures["permutation_importance.png"] = plot_importance(
        importance["column"].to_list(), importance["loss"].to_list(), gate.metric
    )
    # The whole folder at once, so that no picture of a former task stays behind.
    with staged_folder(project.figures) as figures:
        for name, picture in pictures.items():
            save_figure(picture, figures / name)
    return [*(project.figures / name for name in pictures), tables / SLICES_TABLE, tables / IMPORTANCE_TABLE]


def _describe_predictions(schema: Schema, truth: NDArray[Any], scores: Scores) -> pl.DataFrame:
    if not schema.labels:
        return pl.DataFrame({"truth": truth, "prediction": scores})
    labels = pl.Series(schema.labels, dtype=pl.String)
    return pl.DataFrame(
        {
            "truth": labels.gather(truth),
            "prediction": labels.gather(scores.argmax(axis=1)),
            "probability": scores.max(axis=1).astype(np.float64),
        }
    )


def _describe_slices(project: Project, metric: Metric, truth: NDArray[Any], scores: Scores) -> pl.DataFrame:
    gate = project.model.gate
    slices = read_slices(project.splits, "test", gate.slices.columns, project.schema)
    rows = [
        (column, str(value), int(np.count_nonzero(inside)), metric.compute(truth[inside], scores[inside]))
        for column, values in slices.items()
        for value in np.unique(values)
        if np.count_nonzero(inside := values == value) >= gate.slices.minimum_rows
    ]
    types = {"column": pl.String, "value": pl.String, "rows": pl.Int64, gate.metric: pl.Float64}
    return pl.DataFrame(rows, schema=types, orient="row")


def _count_confusion(truth: NDArray[Any], scores: Scores, labels: int) -> NDArray[np.int64]:
    counts = np.zeros((labels, labels), dtype=np.int64)
    np.add.at(counts, (truth, scores.argmax(axis=1)), 1)
    return counts


def _measure_importance(project: Project, predictor: Model, test: Dataset, metric: Metric) -> pl.DataFrame:
    # How much the metric loses when a column is shuffled (Breiman, 2001), measured on the model as
    # it is served.
    generator = np.random.default_rng(project.model.seed)
    test = test.take(sample_rows(len(test), project.model.seed))
    base = metric.compute(test.target, score_dataset(predictor, test, project.schema))
    sign = 1 if metric.greater_is_better else -1
    losses = {}
    for name in track(list(test.columns), "Measuring importance"):
        shuffled = []
        for _ in range(_REPEATS):
            columns = {**test.columns, name: generator.permutation(test.columns[name])}
            scores = score_dataset(predictor, Dataset(columns, test.target), project.schema)
            shuffled.append(metric.compute(test.target, scores))
        losses[name] = sign * (base - float(np.mean(shuffled)))
    return pl.DataFrame({"column": list(losses), "loss": list(losses.values())}).sort("loss", descending=True)
