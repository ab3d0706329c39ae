"""The `train` stage: what is chosen on the training rows, measured on the validation rows, and fitted on both."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Project
from ..data.preparation import DataSummary, read_summary
from ..errors import ProjectError
from ..features import FeaturePlan, engineer_features, plan_features
from ..files import hash_file, staged_folder, write_bytes
# {% if cookiecutter.monitoring == "drift" %}
from ..monitoring.reference import describe_reference, write_reference
# {% endif %}
from ..schema import Schema
from ..terminal import get_logger
from ..tracking.run import Run, start_run
from .dataset import Dataset, align_answers, align_scores, read_dataset
from .decision import choose_weights
from .estimators import AUTO, fit_pipeline, score_rows
from .export import check_convertible, export_pipeline, take_onnx
from .manifest import MANIFEST_FILE, ONNX_FILE, DataRecord, Manifest, ParityRecord, write_manifest
from .metrics import compute_metrics, find_metric
from .model import Model, ScoreFunction, Scores, describe_typical, write_golden
from .search import CrossValidation, make_folds, search_estimator

SEARCH_TABLE = "search.csv"

_PACKAGES = ("scikit-learn", "numpy", "onnx", "onnxruntime", "skl2onnx", "skops", "polars")

_logger = get_logger(__name__)


@dataclass(frozen=True)
class _Trained:
    """A model that is written; `held_out` are the scores that validation rows get from what has not seen them."""

    estimator: str
    hyperparameters: dict[str, Any]
    labels: tuple[str, ...]
    weights: tuple[float, ...]
    parity: ParityRecord
    score: ScoreFunction
    held_out: Scores


def train_model(project: Project, onnx: Path | None = None) -> Manifest:
    """Train and write `models/candidate`, whole or not at all; logged as a run.

    The same data and settings give the same bytes, unless `search.minutes` ends the search. Where `onnx` is given, that
    file becomes the candidate instead. Raises ProjectError where there is no prepared data, a setting is wrong, or the
    file does not fit.
    """
    with start_run(project) as run:
        settings, summary = project.model, read_summary(project)
        find_metric(project.schema, settings)
        run.log_parameters(
            {
                "estimator": settings.estimator if onnx is None else f"onnx:{onnx.stem}",
                "seed": settings.seed,
                "selection": settings.features.selection.method,
                "derived": " ".join(feature.name for feature in settings.features.derived),
                "trials": settings.search.trials,
                "data": summary.sha256,
                "training_rows": summary.rows["train"],
            }
        )
        with staged_folder(project.candidate) as folder:
            manifest = _train(project, run, summary, onnx, folder)
        run.log_candidate(hash_file(project.candidate / MANIFEST_FILE))
        run.reach("trained")
    return manifest


def _train(project: Project, run: Run, summary: DataSummary, onnx: Path | None, folder: Path) -> Manifest:
    schema, settings = project.schema, project.model
    plan, times = plan_features(schema, settings.features.derived), project.pipeline.split.time_column
    training, held_out = (read_dataset(project.splits, name, schema, times) for name in ("train", "validation"))
    if schema.labels and len(np.unique(training.target)) == 1:
        raise ProjectError(
            f"All training rows have the same {schema.target}: {schema.labels[training.target[0]]!r}. "
            "Bring rows of another class, or change split.seed in config/pipeline.yaml."
        )
    if onnx is None:
        trained = _fit(project, run, plan, training, held_out, folder)
    else:
        trained = _take(project, onnx, plan, training, held_out, folder)
    answers = align_answers(trained.held_out, trained.labels, trained.weights, schema)
    manifest = Manifest(
        table=schema,
        derived=settings.features.derived,
        features=plan.names,
        labels=trained.labels,
        weights=trained.weights,
        typical=describe_typical(schema, training.columns),
        estimator=trained.estimator,
        hyperparameters=trained.hyperparameters,
        seed=settings.seed,
        runtime="onnx" if trained.parity.passed else "sklearn",
        parity=trained.parity,
        data=DataRecord(sha256=summary.sha256, rows=summary.rows, rejected=summary.rejected, split=summary.split),
        environment={"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        metrics={"validation": compute_metrics(schema, settings, held_out.target, answers)},
    )
    # {% if cookiecutter.monitoring == "drift" %}
    known = training.columns, trained.held_out, held_out.target, trained.weights, settings.features.derived
    write_reference(describe_reference(schema, trained.labels, *known), folder)
    # {% endif %}
    features = engineer_features(training.columns, plan)
    write_golden(folder, Model(manifest, plan, trained.score), training.columns, features, training.target)
    return write_manifest(folder, manifest)


def _fit(project: Project, run: Run, plan: FeaturePlan, training: Dataset, held_out: Dataset, folder: Path) -> _Trained:
    schema, settings, both = project.schema, project.model, training.join(held_out)
    check_convertible(schema.task, settings)
    features, labels = engineer_features(both.columns, plan), _find_labels(schema, both)
    seen, others = features[: len(training)], features[len(training) :]
    name, hyperparameters, weights = _choose(project, run, plan, training, seen, labels)
    run.log_parameters({"estimator": name, **hyperparameters})
    _logger.info("Training %s on %s rows, %s features", name, *features.shape)

    def fit(rows: Dataset, matrix: NDArray[np.float32]) -> Any:
        folds = None if settings.calibration == "none" else make_folds(rows, settings, each_once=True)
        return fit_pipeline(schema.task, settings, plan, (matrix, rows.target), name, hyperparameters, folds)

    # Before the validation rows are trained on, too, they tell what the choice is worth.
    scores = align_scores(score_rows(fit(training, seen), schema, others), schema.labels, labels)
    parity, score = export_pipeline(fit(both, features), (others, held_out.target), settings.parity, folder, weights)
    return _Trained(name, hyperparameters, labels, weights, parity, score, scores)


def _take(
    project: Project, onnx: Path, plan: FeaturePlan, training: Dataset, held_out: Dataset, folder: Path
) -> _Trained:
    schema, matrix = project.schema, engineer_features(held_out.columns, plan)
    labels, score = take_onnx(onnx, folder / ONNX_FILE, schema, _find_labels(schema, training), matrix)
    reason = "It came as an ONNX file; there is no scikit-learn model to compare it with"
    parity, scores = ParityRecord(rows=0, share_beyond_tolerance=0, passed=True, reason=reason), score(matrix)
    aligned = align_scores(scores, labels, schema.labels)
    weights = choose_weights(project.model, schema, labels, held_out.target, aligned)
    return _Trained(f"onnx:{onnx.stem}", {}, labels, weights, parity, score, scores)


def _choose(
    project: Project,
    run: Run,
    plan: FeaturePlan,
    training: Dataset,
    matrix: NDArray[np.float32],
    labels: tuple[str, ...],
) -> tuple[str, dict[str, Any], tuple[float, ...]]:
    """The estimator, its hyperparameters, and the weights of `labels`, by cross-validation where it is asked for."""
    schema, settings = project.schema, project.model
    is_searched = settings.estimator == AUTO or settings.search.trials > 0
    name, hyperparameters = settings.estimator, settings.hyperparameters.get(settings.estimator, {})
    if not is_searched and not settings.decision.best_for:
        return name, hyperparameters, ()
    if len(training) > settings.search.rows:
        _logger.info("Cross-validating on %s of %s training rows (search.rows)", settings.search.rows, len(training))
        generator = np.random.default_rng(settings.seed)
        places = np.sort(generator.choice(len(training), settings.search.rows, replace=False))
        training, matrix = training.take(places), matrix[places]
    validation = CrossValidation(schema, settings, plan, find_metric(schema, settings), training, matrix)
    if is_searched:
        found, table = search_estimator(validation, run)
        name, hyperparameters = found.estimator, found.hyperparameters
        path = project.reports / "tables" / SEARCH_TABLE
        write_bytes(path, table.write_csv().encode())
        run.log_file(path, "tables")
    if not settings.decision.best_for:
        return name, hyperparameters, ()
    if settings.calibration != "none" or not is_searched:
        found = validation.measure(name, hyperparameters, is_calibrated=settings.calibration != "none")
    scored = np.isfinite(found.scores.reshape(len(training), -1)).all(axis=1)
    weights = choose_weights(settings, schema, labels, training.target[scored], found.scores[scored])
    return name, hyperparameters, weights


def _find_labels(schema: Schema, rows: Dataset) -> tuple[str, ...]:
    return tuple(schema.labels[place] for place in np.unique(rows.target)) if schema.labels else ()
