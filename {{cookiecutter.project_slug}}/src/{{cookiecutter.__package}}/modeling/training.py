"""The `train` stage: a candidate from the training rows, chosen on the validation rows."""

import math
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterSampler

from ..config import Project
from ..data.preparation import DataSummary, read_summary
from ..errors import ProjectError
from ..features import engineer_features, plan_features
from ..files import hash_file, staged_folder
# {% if cookiecutter.monitoring == "drift" %}
from ..monitoring.reference import describe_reference, write_reference
# {% endif %}
from ..terminal import get_logger, track
from ..tracking.run import Run, start_run
from .dataset import Rows, align_scores, read_dataset, read_matrix
from .decision import choose_weights
from .estimators import find_estimator, fit_pipeline
from .export import export_pipeline, take_onnx
from .manifest import MANIFEST_FILE, ONNX_FILE, DataRecord, Manifest, ParityRecord, write_manifest
from .metrics import find_metric
from .model import Model, score_with_pipeline, write_golden

_PACKAGES = ("scikit-learn", "numpy", "onnx", "onnxruntime", "skl2onnx", "skops", "polars")

_logger = get_logger(__name__)


def train_model(project: Project, onnx: Path | None = None) -> Manifest:
    """Train on the training rows and write `models/candidate`, whole or not at all; logged as a run.

    The same data and settings give the same bytes. Where `onnx` is given, that file becomes the candidate instead.
    Raises ProjectError where there is no prepared data, a setting is wrong, or the file does not fit.
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
    plan = plan_features(schema, settings.features.derived)
    training, held_out = read_dataset(project.splits, "train", schema), read_matrix(project, "validation")
    rows = engineer_features(training.columns, plan), training.target
    labels = tuple(schema.labels[place] for place in np.unique(training.target)) if schema.labels else ()
    if len(labels) == 1:
        raise ProjectError(
            f"All training rows have the same {schema.target}: {labels[0]!r}. "
            "Bring rows of another class, or change split.seed in config/pipeline.yaml."
        )
    if onnx is None:
        hyperparameters = _choose_hyperparameters(project, rows, held_out, labels, run)
        run.log_parameters(hyperparameters)
        _logger.info("Training %s on %s rows, %s features", settings.estimator, *rows[0].shape)
        pipeline = fit_pipeline(schema.task, settings, rows, hyperparameters)
        kind = find_estimator(schema.task, settings.estimator)
        judged = score_with_pipeline(pipeline, bool(labels))(held_out[0])
        weights = choose_weights(settings, schema, labels, held_out[1], judged)
        parity, score = export_pipeline(pipeline, kind, held_out, settings.parity, folder, weights)
    else:
        hyperparameters = {}
        labels, score = take_onnx(onnx, folder / ONNX_FILE, schema, labels, held_out[0])
        weights = choose_weights(settings, schema, labels, held_out[1], score(held_out[0]))
        reason = "It came as an ONNX file; there is no scikit-learn model to compare it with"
        parity = ParityRecord(rows=0, share_beyond_tolerance=0, passed=True, reason=reason)
    manifest = Manifest(
        table=schema,
        derived=settings.features.derived,
        features=plan.names,
        labels=labels,
        weights=weights,
        estimator=settings.estimator if onnx is None else f"onnx:{onnx.stem}",
        hyperparameters=hyperparameters,
        seed=settings.seed,
        runtime="onnx" if parity.passed else "sklearn",
        parity=parity,
        data=DataRecord(sha256=summary.sha256, rows=summary.rows, rejected=summary.rejected, split=summary.split),
        environment={"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
    )
    # {% if cookiecutter.monitoring == "drift" %}
    reference = describe_reference(schema, labels, training.columns, score(held_out[0]), held_out[1], weights)
    write_reference(reference, folder)
    # {% endif %}
    write_golden(folder, Model(manifest, plan, score), training.columns, *rows)
    return write_manifest(folder, manifest)


def _choose_hyperparameters(
    project: Project, training: Rows, held_out: Rows, labels: tuple[str, ...], run: Run
) -> dict[str, Any]:
    schema, settings = project.schema, project.model
    metric = find_metric(schema, settings)
    fixed = settings.hyperparameters.get(settings.estimator, {})
    if not settings.search.trials:
        return fixed
    space = settings.search.space.get(settings.estimator, {})
    size = math.prod(map(len, space.values())) if space else 0
    if not size:
        raise ProjectError(
            f"config/model.yaml: search.trials is {settings.search.trials}, but search.space has no "
            f"{settings.estimator} with values for each name; add what to try, or set trials to 0."
        )
    trials = list(ParameterSampler(space, min(settings.search.trials, size), random_state=settings.seed))
    gains = []
    for step, trial in enumerate(track(trials, "Searching")):
        pipeline = fit_pipeline(schema.task, settings, training, fixed | trial)
        scores = score_with_pipeline(pipeline, bool(labels))(held_out[0])
        value = metric.compute(held_out[1], align_scores(scores, labels, schema))
        run.log_metrics({f"search_{settings.gate.metric}": value}, step)
        _logger.info("%s with %s: validation %s %.4f", settings.estimator, trial, settings.gate.metric, value)
        gains.append(metric.gain(value, 0))
    best: dict[str, Any] = trials[int(np.argmax(np.nan_to_num(gains, nan=-math.inf)))]
    return fixed | best
