"""The `evaluate` stage: the candidate's metrics, tables and pictures on rows it never saw."""

import logging
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from .. import plots
from ..config import Project
from ..data.loading import ROW_NUMBER
from ..data.preparation import read_summary
from ..data.splitting import read_split
from ..errors import ProjectError
from ..features import Columns
from ..files import hash_file, staged_folder, write_bytes
from ..schema import Schema
from ..terminal import track
from ..tracking.run import open_run
from .dataset import Dataset, align_answers, read_dataset, read_slices
from .gate import CONSTANT, compare_paired, measure_groups, measure_interval, sample_rows
from .manifest import MANIFEST_FILE
from .metrics import METRICS, Answers, Metric, compute_metrics, count_confusion, find_metric
from .model import Model, choose_places, load_model
from .report import IMPORTANCE_TABLE, PREDICTIONS_TABLE, SLICES_TABLE, Evaluation, find_pictures, write_evaluation

_logger = logging.getLogger(__name__)


def evaluate_model(project: Project) -> Evaluation:
    """Measure the candidate on the test rows and write `reports/`; logged in the candidate's run.

    Raises ProjectError where there is no candidate or no prepared data, or where they do not belong together.
    """
    model = load_model(project.candidate)
    with open_run(project, hash_file(project.candidate / MANIFEST_FILE)) as run:
        evaluation, files = _evaluate(project, model)
        for split, values in evaluation.metrics.items():
            run.log_metrics({f"{split}_{name}": value for name, value in values.items()})
        for path in files:
            run.log_file(path, path.parent.relative_to(project.reports).as_posix())
        run.reach("evaluated")
    _tell(evaluation)
    return evaluation


def _evaluate(project: Project, model: Model) -> tuple[Evaluation, list[Path]]:
    schema, settings = project.schema, project.model
    if model.manifest.data.sha256 != read_summary(project).sha256:
        raise ProjectError("The candidate was trained on other data than is prepared now; run the `train` stage again.")
    metric, test = find_metric(schema, settings), read_dataset(project.splits, "test", schema)
    answers, constant = answer_dataset(model, test, schema), _answer_constantly(project, len(test))
    tables = {
        PREDICTIONS_TABLE: _describe_predictions(project, test, answers),
        SLICES_TABLE: _describe_slices(project, metric, test, answers),
        IMPORTANCE_TABLE: _measure_importance(project, model, test, metric),
    }
    metrics = {
        **model.manifest.metrics,  # of the validation rows, from before they were trained on
        "test": compute_metrics(schema.task, test.target, answers),
        "constant": compute_metrics(schema.task, test.target, constant),
    }
    named = track(list(METRICS[schema.task].items()), "Measuring intervals")
    measured = [(name, measure_interval(each, test.target, answers, settings.seed)) for name, each in named]
    evaluation = Evaluation(
        candidate=hash_file(project.candidate / MANIFEST_FILE),
        metrics=metrics,
        intervals={name: interval for name, interval in measured if interval},
        metric=settings.gate.metric,
        constant=compare_paired(settings, metric, test.target, answers, CONSTANT, constant),
    )
    files = _write_files(project, tables, _draw_pictures(project, test, answers, tables[IMPORTANCE_TABLE]))
    write_evaluation(project, model.manifest, evaluation)
    return evaluation, files


def _answer_constantly(project: Project, rows: int) -> Answers:
    """The shares of the labels; or of the mean and the quantiles what the gate's metric likes best in training."""
    training = read_dataset(project.splits, "train", project.schema)
    target, labels = training.target[sample_rows(len(training), project.model.seed)], len(project.schema.labels)
    if labels:
        return Answers(np.tile(np.bincount(target, minlength=labels) / len(target), (rows, 1)))
    metric = find_metric(project.schema, project.model)
    values = [target.mean(), *np.quantile(target, np.arange(1, 20) / 20)]
    gains = [metric.gain(metric.compute(target, np.full(len(target), value)), 0) for value in values]
    return Answers(np.full(rows, values[int(np.argmax(np.nan_to_num(gains, nan=-np.inf)))]))


def _tell(evaluation: Evaluation) -> None:
    for name, value in evaluation.metrics["test"].items():
        interval = evaluation.intervals.get(name, (np.nan, np.nan))
        _logger.info("Test %s: %.4f (95%% interval %.4f to %.4f)", name, value, *interval)
    shown, constant = "Test %s of %s: %.4f; the candidate is better, confidence %.1f%%", evaluation.constant
    _logger.info(shown, evaluation.metric, constant.against, constant.other, 100 * constant.confidence)


def _write_files(project: Project, tables: dict[str, pl.DataFrame], pictures: dict[str, Figure]) -> list[Path]:
    """Write tables and pictures; those that are small and tell of the model alone."""
    folder = project.reports / "tables"
    for name, table in tables.items():
        write_bytes(folder / name, table.write_csv().encode())
    # The whole folder at once, so that no picture of a former task stays behind.
    with staged_folder(project.figures) as figures:
        for name, picture in pictures.items():
            plots.save_figure(picture, figures / f"{name}.png")
    return [*find_pictures(project), folder / SLICES_TABLE, folder / IMPORTANCE_TABLE]


def answer_dataset(model: Model, dataset: Dataset, schema: Schema) -> Answers:
    """A model's scores of a dataset, and its weights, with one of each for each label of the schema."""
    manifest = model.manifest
    return align_answers(model.predict(dataset.columns), manifest.labels, manifest.weights, schema)


def _describe_predictions(project: Project, test: Dataset, answers: Answers) -> pl.DataFrame:
    """Each test row: its raw file, its row number there, its identifiers, what is true and what was predicted."""
    scores, schema, frame = answers.scores, project.schema, read_split(project.splits, "test", "_file")
    described = {"file": frame["_file"].str.extract(r"([^/\\]+)\.[^.]+$"), "row": frame[ROW_NUMBER]}
    predicted = {"truth": pl.Series(test.target), "prediction": pl.Series(scores)}
    if schema.labels:
        labels, shares = pl.Series(schema.labels, dtype=pl.String), scores.astype(np.float64)
        predicted = {"truth": labels.gather(test.target), "prediction": labels.gather(choose_places(*answers))}
        predicted |= pl.DataFrame(shares, [f"probability {label}" for label in schema.labels]).to_dict()
    shown = [name for name in schema.identifiers if name not in schema.sensitive]
    return pl.DataFrame(described | {name: frame[name] for name in shown} | predicted)


def _describe_slices(project: Project, metric: Metric, test: Dataset, answers: Answers) -> pl.DataFrame:
    gate = project.model.gate
    slices = read_slices(project.splits, "test", gate.slices.columns, project.schema)
    groups = measure_groups(gate, metric, test.target, slices, answers)
    rows = [(column, value, count, found) for column, value, count, [found] in groups]
    return pl.DataFrame(rows, schema=["column", "value", "rows", gate.metric], orient="row")


def _measure_importance(project: Project, model: Model, test: Dataset, metric: Metric) -> pl.DataFrame:
    """How much the metric loses when a column is shuffled (Breiman, 2001), measured on the model as it is served."""
    generator, test = np.random.default_rng(project.model.seed), test.take(sample_rows(len(test), project.model.seed))

    def measure(changed: Columns) -> float:
        answers = answer_dataset(model, Dataset(test.columns | changed, test.target), project.schema)
        return metric.compute(test.target, *answers)

    base, rows = measure({}), []
    for name, values in track(list(test.columns.items()), "Measuring importance"):
        losses = [metric.gain(base, measure({name: generator.permutation(values)})) for _ in range(5)]
        rows.append((name, float(np.mean(losses)), float(np.std(losses, ddof=1))))
    return pl.DataFrame(rows, schema=["column", "loss", "deviation"], orient="row").sort("loss", descending=True)


def _draw_pictures(project: Project, test: Dataset, answers: Answers, importance: pl.DataFrame) -> dict[str, Figure]:
    labels, target, (scores, weights) = project.schema.labels, project.schema.target, answers
    columns, losses, deviations = (column.to_list() for column in importance)
    drawing = plots.plot_importance(columns, losses, deviations, project.model.gate.metric)
    pictures = {"permutation_importance": drawing}
    kept = np.flatnonzero(np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))
    some = kept[sample_rows(len(kept), project.model.seed)]
    drawn = test.target[some], scores[some]
    if labels and len(kept):
        counts = count_confusion(test.target[kept], choose_places(scores[kept], weights), len(labels))
        pictures["confusion_matrix"] = plots.plot_confusion_matrix(counts, labels)
        pictures["calibration"] = plots.plot_calibration(*drawn, labels)
        pictures["roc_precision_recall"] = plots.plot_ranking(*drawn, labels)
    elif len(kept):
        pictures["predicted_values"] = plots.plot_errors(*drawn, target, residuals=False)
        pictures["residuals"] = plots.plot_errors(*drawn, target, residuals=True)
    return pictures
