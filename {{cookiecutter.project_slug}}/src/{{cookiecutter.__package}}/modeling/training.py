"""The `train` stage: a candidate from the training rows, chosen on the validation rows."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import ParameterSampler
from sklearn.pipeline import Pipeline

from ..config import Project
from ..data.preparation import read_summary
from ..errors import ProjectError
from ..features import FeaturePlan, engineer_features, plan_features
from ..files import hash_file, staged_folder
# {% if cookiecutter.monitoring == "drift" %}
from ..monitoring.reference import describe_reference, write_reference
# {% endif %}
from ..terminal import get_logger, track
from ..tracking.run import Run, start_run
from .dataset import Dataset, align_scores, read_dataset
from .estimators import find_estimator, make_pipeline
from .export import export_onnx
from .external import take_onnx
from .golden import write_golden
from .manifest import (
    MANIFEST_FILE,
    ONNX_FILE,
    SKOPS_FILE,
    DataRecord,
    Manifest,
    ParityRecord,
    Runtime,
    write_manifest,
)
from .metrics import find_metric
from .model import ScoreFunction, load_onnx, score_with_pipeline
from .persistence import write_skops

_PACKAGES = ("scikit-learn", "numpy", "onnx", "onnxruntime", "skl2onnx", "skops", "polars")

_logger = get_logger(__name__)


@dataclass(frozen=True)
class _Rows:
    """Rows to fit or to choose by: columns with the target, the feature matrix, and the labels that occur."""

    data: Dataset
    matrix: NDArray[np.float32]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class _Trained:
    """A model whose files are written; `estimator` as the manifest names it."""

    estimator: str
    hyperparameters: dict[str, Any]
    runtime: Runtime
    parity: ParityRecord
    score: ScoreFunction
    files: list[str]


def train_model(project: Project, onnx: Path | None = None) -> Manifest:
    """Train on the training rows and write `models/candidate`, whole or not at all; logged as a run.

    The same data and settings give the same bytes. Where `onnx` is given, that file becomes the candidate instead.
    Raises ProjectError where there is no prepared data, a setting is wrong, or the file does not fit.
    """
    with start_run(project) as run:
        manifest = _train(project, run, onnx)
        run.log_candidate(hash_file(project.candidate / MANIFEST_FILE))
        run.reach("trained")
    return manifest


def describe_environment() -> dict[str, str]:
    """Versions of Python and of the packages that a model depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def _train(project: Project, run: Run, onnx: Path | None) -> Manifest:
    schema, settings = project.schema, project.model
    summary = read_summary(project)
    plan = plan_features(schema, settings.features.derived)
    training, validation = _read_rows(project, plan)
    find_metric(schema.task, settings.gate.metric)
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
        if onnx is None:
            trained = _fit_and_export(project, run, training, validation, folder)
        else:
            labels, score = take_onnx(onnx, folder / ONNX_FILE, schema, training.labels, validation.matrix)
            training = _Rows(training.data, training.matrix, labels)
            parity = ParityRecord(rows=0, share_beyond_tolerance=0, passed=True, reason="It came as an ONNX file")
            trained = _Trained(f"onnx:{onnx.stem}", {}, "onnx", parity, score, [ONNX_FILE])
        files, columns = list(trained.files), training.data.columns
        # {% if cookiecutter.monitoring == "drift" %}
        scores = trained.score(validation.matrix)
        reference = describe_reference(schema, training.labels, columns, scores, validation.data.target)
        files.append(write_reference(reference, folder))
        # {% endif %}
        spread = 1.0 if schema.labels else float(np.std(training.data.target))
        files.append(write_golden(folder, schema, plan, columns, training.matrix, trained.score, spread))
        manifest = Manifest(
            table=schema,
            derived=settings.features.derived,
            features=plan.names,
            labels=training.labels,
            estimator=trained.estimator,
            hyperparameters=trained.hyperparameters,
            seed=settings.seed,
            runtime=trained.runtime,
            parity=trained.parity,
            data=DataRecord(sha256=summary.sha256, rows=summary.rows, rejected=summary.rejected, split=summary.split),
            environment=describe_environment(),
        )
        return write_manifest(folder, manifest, files)


def _read_rows(project: Project, plan: FeaturePlan) -> tuple[_Rows, _Rows]:
    schema = project.schema
    training = read_dataset(project.splits, "train", schema)
    validation = read_dataset(project.splits, "validation", schema)
    labels = tuple(schema.labels[place] for place in np.unique(training.target)) if schema.labels else ()
    if len(labels) == 1:
        raise ProjectError(
            f"All training rows have the same {schema.target}: {labels[0]!r}. "
            "Bring rows of another class, or change split.seed in config/pipeline.yaml."
        )
    return (
        _Rows(training, engineer_features(training.columns, plan), labels),
        _Rows(validation, engineer_features(validation.columns, plan), labels),
    )


def _fit_and_export(project: Project, run: Run, training: _Rows, validation: _Rows, folder: Path) -> _Trained:
    settings, is_classification = project.model, bool(training.labels)
    hyperparameters = _choose_hyperparameters(project, training, validation, run)
    run.log_parameters(hyperparameters)
    rows, features = training.matrix.shape
    _logger.info("Training %s on %s rows, %s features", settings.estimator, rows, features)
    pipeline = _fit(project, training, hyperparameters)
    write_skops(pipeline, folder / SKOPS_FILE)
    register_converter = find_estimator(project.schema.task, settings.estimator).register_converter
    if register_converter is not None:
        register_converter()
    path = folder / ONNX_FILE
    parity = export_onnx(pipeline, validation.matrix, validation.data.target, settings.parity, path)
    if not parity.passed:
        _logger.warning("No ONNX: %s. This model is served by scikit-learn.", parity.reason.rstrip("."))
        score = score_with_pipeline(pipeline, is_classification)
        return _Trained(settings.estimator, hyperparameters, "sklearn", parity, score, [SKOPS_FILE])
    _logger.info("ONNX agrees with scikit-learn on %s held-out rows", parity.rows)
    score = load_onnx(path, is_classification)
    return _Trained(settings.estimator, hyperparameters, "onnx", parity, score, [ONNX_FILE, SKOPS_FILE])


def _choose_hyperparameters(project: Project, training: _Rows, validation: _Rows, run: Run) -> dict[str, Any]:
    schema, settings = project.schema, project.model
    fixed = settings.hyperparameters.get(settings.estimator, {})
    space = settings.search.space.get(settings.estimator, {})
    if not settings.search.trials:
        return fixed
    if not space:
        raise ProjectError(
            f"config/model.yaml: search.trials is {settings.search.trials}, but search.space has no "
            f"{settings.estimator}; add what to try, or set trials to 0."
        )
    metric = find_metric(schema.task, settings.gate.metric)
    size = int(np.prod([len(values) for values in space.values()]))
    trials = list(ParameterSampler(space, min(settings.search.trials, size), random_state=settings.seed))
    best: tuple[float, dict[str, Any]] | None = None
    for step, trial in enumerate(track(trials, "Searching")):
        hyperparameters = fixed | trial
        pipeline = _fit(project, training, hyperparameters)
        scores = score_with_pipeline(pipeline, bool(training.labels))(validation.matrix)
        value = metric.compute(validation.data.target, align_scores(scores, training.labels, schema))
        run.log_metrics({f"search_{settings.gate.metric}": value}, step)
        _logger.info("%s with %s: validation %s %.4f", settings.estimator, trial, settings.gate.metric, value)
        if best is None or metric.gain(value, best[0]) > 0:
            best = (value, hyperparameters)
    if best is None:
        raise ProjectError("config/model.yaml: search.space leaves nothing to try; give each name a list of values.")
    return best[1]


def _fit(project: Project, rows: _Rows, hyperparameters: dict[str, Any]) -> Pipeline:
    settings = project.model
    pipeline = make_pipeline(project.schema.task, settings, rows.matrix.shape[1], hyperparameters)
    try:
        return pipeline.fit(rows.matrix, rows.data.target)
    except ValueError as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"{settings.estimator} cannot be trained with {hyperparameters}: {reason}") from error
