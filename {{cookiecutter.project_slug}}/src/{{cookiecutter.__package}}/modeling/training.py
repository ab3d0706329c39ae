"""The `train` stage: what is chosen on the training rows, measured on the validation rows, and fitted on both."""

import logging
import platform
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config import DataSummary, Project
from ..data.preparation import read_summary
from ..errors import ProjectError
from ..features import FeaturePlan, engineer_features, plan_features
from ..files import hash_file, staged_folder, write_bytes
# {% if cookiecutter.monitoring == "drift" %}
from ..monitoring.reference import write_reference
# {% endif %}
from ..schema import Schema
from ..tracking.run import Run, open_run
from .dataset import Dataset, Rows, align_answers, align_scores, read_dataset
from .decision import choose_weights, find_decider
from .estimators import AUTO, Choice, fit_pipeline, score_rows
from .export import export_pipeline, take_onnx
from .gate import sample_rows
from .manifest import MANIFEST_FILE, ONNX_FILE, Manifest, ParityRecord, write_manifest
from .metrics import compute_metrics, find_metric
from .model import Model, ScoreFunction, Scores, describe_typical, write_golden
from .search import CrossValidation, search_estimator

SEARCH_TABLE = "search.csv"

_PACKAGES = ("scikit-learn", "numpy", "onnx", "onnxruntime", "skl2onnx", "polars")

_logger = logging.getLogger(__name__)

_Trained = tuple[Choice, tuple[str, ...], tuple[float, ...], ParityRecord, ScoreFunction, Scores]
"""What is written, its labels and their weights, and the scores of the validation rows by what has not seen them."""


def train_model(project: Project, onnx: Path | None = None) -> Manifest:
    """Train and write `models/candidate`, whole or not at all; logged as a run.

    The same data and settings give the same bytes. Where `onnx` is given, that file becomes the candidate instead.
    Raises ProjectError where there is no prepared data, a setting is wrong, or the file does not fit.
    """
    with open_run(project) as run:
        settings, summary = project.model, read_summary(project)
        find_metric(project.schema, settings)
        find_decider(project.schema, settings)
        derived, rows = " ".join(feature.name for feature in settings.features.derived), summary.rows["train"]
        run.log_parameters({"seed": settings.seed, "derived": derived, "data": summary.sha256, "training_rows": rows})
        with staged_folder(project.candidate) as folder:
            manifest = _train(project, run, summary, onnx, folder)
        run.reach("trained", candidate=hash_file(project.candidate / MANIFEST_FILE))
    return manifest


def _train(project: Project, run: Run, summary: DataSummary, onnx: Path | None, folder: Path) -> Manifest:
    schema, settings, count = project.schema, project.model, summary.rows["train"]
    plan, times = plan_features(schema, settings.features.derived), project.pipeline.split.time_column
    rows = read_dataset(project.splits, ("train", "validation"), schema, times)
    training, held_out = rows.take(slice(count)), rows.take(slice(count, None))
    if schema.labels and len(np.unique(training.target)) == 1:
        raise ProjectError(
            f"All training rows have the same {schema.target}: {schema.labels[training.target[0]]!r}. "
            "Bring rows of another class, or change split.seed in config/pipeline.yaml."
        )
    features = engineer_features(rows.columns, plan)
    if onnx is None:
        trained = _fit(project, run, plan, rows, features, count, folder)
    else:
        trained = _take(project, onnx, training, (features[count:], held_out.target), folder)
    choice, labels, weights, parity, score, scores = trained
    run.log_parameters({"estimator": choice.estimator, **choice.hyperparameters})
    answers = align_answers(scores, labels, weights, schema)
    manifest = Manifest(
        table=schema,
        derived=settings.features.derived,
        features=plan.names,
        labels=labels,
        weights=weights,
        typical=describe_typical(schema, training.columns),
        estimator=choice.estimator,
        hyperparameters=choice.hyperparameters,
        seed=settings.seed,
        parity=parity,
        data=summary,
        environment={"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        metrics={"validation": compute_metrics(schema.task, held_out.target, answers)},
    )
    # {% if cookiecutter.monitoring == "drift" %}
    write_reference(folder, manifest, training.columns, scores)
    # {% endif %}
    write_golden(folder, Model(manifest, plan, score), training.columns, training.target)
    return write_manifest(folder, manifest)


def _fit(
    project: Project, run: Run, plan: FeaturePlan, rows: Dataset, matrix: NDArray[np.float32], count: int, folder: Path
) -> _Trained:
    """Choose by the first `count` rows, which are for training, measure on the others, and train on all."""
    schema, settings = project.schema, project.model
    training, seen, others, labels = rows.take(slice(count)), matrix[:count], matrix[count:], _find_labels(schema, rows)
    choice, weights = _choose(project, run, plan, training, seen, labels)
    _logger.info("Training %s on %s rows, %s features", choice.estimator, *matrix.shape)
    fit = partial(fit_pipeline, schema, settings, plan)
    scores = align_scores(score_rows(fit(training, seen, choice), schema, others), schema.labels, labels)
    known = others, rows.target[count:]
    parity, score = export_pipeline(fit(rows, matrix, choice), known, settings.parity, folder / ONNX_FILE, weights)
    return choice, labels, weights, parity, score, scores


def _take(project: Project, onnx: Path, training: Dataset, held_out: Rows, folder: Path) -> _Trained:
    schema, (matrix, target) = project.schema, held_out
    labels, score = take_onnx(onnx, folder / ONNX_FILE, schema, _find_labels(schema, training), matrix)
    scores = score(matrix)
    weights = choose_weights(schema, project.model, labels, target, align_scores(scores, labels, schema.labels))
    return Choice(f"onnx:{onnx.stem}", {}), labels, weights, ParityRecord(), score, scores


def _choose(
    project: Project, run: Run, plan: FeaturePlan, rows: Dataset, matrix: NDArray[np.float32], labels: tuple[str, ...]
) -> tuple[Choice, tuple[float, ...]]:
    """The estimator, and the weights of the labels, by cross-validation where it is asked for."""
    schema, settings = project.schema, project.model
    is_searched = settings.estimator == AUTO
    choice = Choice(settings.estimator, settings.hyperparameters.get(settings.estimator, {}))
    if not is_searched and not settings.decision.best_for:
        return choice, ()
    if len(rows) > settings.search.rows:
        _logger.info("Cross-validating on %s of %s training rows (search.rows)", settings.search.rows, len(rows))
    places = np.sort(sample_rows(len(rows), settings.seed, settings.search.rows))
    metric, rows = find_metric(schema, settings), rows.take(places)
    validation = CrossValidation(schema, settings, plan, metric, rows, matrix[places])
    if is_searched:
        found, table = search_estimator(validation)
        path = project.reports / "tables" / SEARCH_TABLE
        write_bytes(path, table.write_csv().encode())
        run.log_file(path, "tables")
    else:
        found = validation.measure(choice)
    scored = np.isfinite(found.scores.reshape(len(rows), -1)).all(axis=1)
    return found.choice, choose_weights(schema, settings, labels, rows.target[scored], found.scores[scored])


def _find_labels(schema: Schema, rows: Dataset) -> tuple[str, ...]:
    return tuple(schema.labels[place] for place in np.unique(rows.target)) if schema.labels else ()
