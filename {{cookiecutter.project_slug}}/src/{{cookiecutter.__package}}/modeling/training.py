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

from ..config import ModelSettings, Project
from ..data.preparation import DataSummary, read_summary
from ..errors import ProjectError
from ..features import FeaturePlan, engineer_features, plan_features
from ..files import hash_file, staged_folder, write_json
from ..monitoring.reference import REFERENCE_FILE, describe_reference, write_reference
from ..schema import Schema
from ..terminal import get_logger, track
from ..tracking.run import Run, start_run
from .dataset import Dataset, align_scores, read_dataset
from .estimators import make_pipeline
from .export import compare_scores, write_onnx, write_skops
from .manifest import (
    MANIFEST_FILE,
    ONNX_FILE,
    SKOPS_FILE,
    DataRecord,
    Manifest,
    ParityRecord,
    Runtime,
    describe_artifacts,
    manifest_json,
)
from .metrics import find_metric
from .model import load_onnx, score_with_pipeline

_PACKAGES = ("scikit-learn", "numpy", "onnx", "onnxruntime", "skl2onnx", "skops", "polars")

_logger = get_logger(__name__)


@dataclass(frozen=True)
class _Rows:
    matrix: NDArray[np.float32]
    target: NDArray[Any]


def train_model(project: Project) -> Manifest:
    """Train on the training rows and write `models/candidate`, whole or not at all; logged as a run.

    The same data and settings give the same bytes.

    Raises:
        ProjectError: there is no prepared data, or a setting is wrong.
    """
    with start_run(project) as run:
        manifest = _train(project, run)
        run.log_candidate(hash_file(project.candidate / MANIFEST_FILE))
        run.reach("trained")
    return manifest


def describe_environment() -> dict[str, str]:
    """Versions of Python and of the packages that a model depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def _train(project: Project, run: Run) -> Manifest:
    schema, settings = project.schema, project.model
    summary = read_summary(project)
    plan = plan_features(schema, settings.features.derived)
    training = read_dataset(project.splits, "train", schema)
    validation = read_dataset(project.splits, "validation", schema)
    labels = _present_labels(schema, training)
    train_rows = _make_rows(training, plan)
    validation_rows = _make_rows(validation, plan)
    find_metric(schema.task, settings.gate.metric)
    run.log_parameters(_describe_settings(settings, summary))
    hyperparameters = _choose_hyperparameters(schema, settings, labels, train_rows, validation_rows, run)
    run.log_parameters(hyperparameters)
    _logger.info("Training %s on %s rows, %s features", settings.estimator, len(training), len(plan.names))
    pipeline = _fit(schema, settings, train_rows, hyperparameters)
    with staged_folder(project.candidate) as folder:
        write_skops(pipeline, folder / SKOPS_FILE)
        parity = _export_onnx(pipeline, project, labels, validation_rows, folder / ONNX_FILE)
        runtime: Runtime = "onnx" if parity.passed else "sklearn"
        files = [ONNX_FILE, SKOPS_FILE] if parity.passed else [SKOPS_FILE]
        score = (
            load_onnx(folder / ONNX_FILE, bool(labels))
            if parity.passed
            else score_with_pipeline(pipeline, bool(labels))
        )
        reference = describe_reference(
            schema, labels, training.columns, score(validation_rows.matrix), validation_rows.target
        )
        write_reference(reference, folder)
        files.append(REFERENCE_FILE)
        manifest = Manifest(
            table=schema,
            derived=settings.features.derived,
            features=plan.names,
            labels=labels,
            estimator=settings.estimator,
            hyperparameters=hyperparameters,
            seed=settings.seed,
            runtime=runtime,
            parity=parity,
            data=_describe_data(summary),
            environment=describe_environment(),
            files=describe_artifacts(folder, files),
        )
        write_json(folder / MANIFEST_FILE, manifest_json(manifest))
    if parity.passed:
        _logger.info("ONNX agrees with scikit-learn on %s held-out rows", parity.rows)
    else:
        _logger.warning("No ONNX: %s. This model is served by scikit-learn.", parity.reason)
    return manifest


def _present_labels(schema: Schema, training: Dataset) -> tuple[str, ...]:
    if schema.task == "regression":
        return ()
    present = tuple(schema.labels[place] for place in np.unique(training.target))
    if len(present) < 2:
        raise ProjectError(
            f"All training rows have the same {schema.target}: {', '.join(map(repr, present))}. "
            "Bring rows of another class, or change split.seed in config/pipeline.yaml."
        )
    return present


def _make_rows(dataset: Dataset, plan: FeaturePlan) -> _Rows:
    return _Rows(engineer_features(dataset.columns, plan), dataset.target)


def _choose_hyperparameters(
    schema: Schema, settings: ModelSettings, labels: tuple[str, ...], training: _Rows, validation: _Rows, run: Run
) -> dict[str, Any]:
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
        pipeline = _fit(schema, settings, training, hyperparameters)
        scores = score_with_pipeline(pipeline, schema.task == "classification")(validation.matrix)
        value = metric.compute(validation.target, align_scores(scores, labels, schema))
        run.log_metrics({f"search_{settings.gate.metric}": value}, step)
        _logger.info("%s with %s: validation %s %.4f", settings.estimator, trial, settings.gate.metric, value)
        if best is None or metric.is_better(value, best[0]):
            best = (value, hyperparameters)
    if best is None:
        raise ProjectError("config/model.yaml: search.space leaves nothing to try; give each name a list of values.")
    return best[1]


def _fit(schema: Schema, settings: ModelSettings, rows: _Rows, hyperparameters: dict[str, Any]) -> Pipeline:
    pipeline = make_pipeline(schema.task, settings, rows.matrix.shape[1], hyperparameters)
    try:
        return pipeline.fit(rows.matrix, rows.target)
    except ValueError as error:
        reason = str(error).strip().split("\n")[0]
        raise ProjectError(f"{settings.estimator} cannot be trained with {hyperparameters}: {reason}") from error


def _export_onnx(
    pipeline: Pipeline, project: Project, labels: tuple[str, ...], held_out: _Rows, path: Path
) -> ParityRecord:
    try:
        write_onnx(pipeline, held_out.matrix.shape[1], path)
        onnx = load_onnx(path, bool(labels))(held_out.matrix)
    except ProjectError as error:
        path.unlink(missing_ok=True)
        return ParityRecord(
            rows=len(held_out.target),
            largest_difference=0,
            share_beyond_tolerance=1,
            label_changes=0,
            passed=False,
            reason=str(error),
        )
    sklearn = score_with_pipeline(pipeline, bool(labels))(held_out.matrix)
    record = compare_scores(onnx, sklearn, held_out.target, project.model.parity)
    if not record.passed:
        path.unlink()
    return record


def _describe_settings(settings: ModelSettings, summary: DataSummary) -> dict[str, Any]:
    return {
        "estimator": settings.estimator,
        "seed": settings.seed,
        "selection": settings.features.selection.method,
        "derived": " ".join(feature.name for feature in settings.features.derived),
        "trials": settings.search.trials,
        "data": summary.sha256,
        "training_rows": summary.rows["train"],
    }


def _describe_data(summary: DataSummary) -> DataRecord:
    return DataRecord(sha256=summary.sha256, rows=summary.rows, rejected=summary.rejected, split=summary.split)
