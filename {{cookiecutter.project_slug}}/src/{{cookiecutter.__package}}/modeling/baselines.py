"""What a candidate is held against besides `latest`: the best answer that looks at nothing, and a linear model."""

import numpy as np
from pydantic import BaseModel

from ..config import Project
from ..features import engineer_features, plan_features
from .dataset import Dataset, read_dataset
from .decision import choose_weights
from .estimators import Choice, fit_pipeline, score_rows
from .gate import CONSTANT, LINEAR, PairedComparison, compare_paired, sample_rows
from .manifest import Manifest
from .metrics import Answers, compute_metrics, find_metric

LINEAR_ESTIMATORS = {"classification": "logistic_regression", "regression": "ridge"}


class Baseline(BaseModel, frozen=True):
    """Its metrics on the test rows, and the candidate compared with it by the gate's."""

    metrics: dict[str, float]
    comparison: PairedComparison


def measure_baselines(project: Project, manifest: Manifest, test: Dataset, answers: Answers) -> dict[str, Baseline]:
    """The baselines by name, measured on the same test rows as the candidate's `answers`.

    They are made from at most 20,000 of the training rows. A candidate that is the linear model itself is held against
    the constant alone.
    """
    schema, settings, metric = project.schema, project.model, find_metric(project.schema, project.model)
    training = read_dataset(project.splits, "train", schema)
    training = training.take(sample_rows(len(training), settings.seed))
    found = {CONSTANT: _answer_constantly(project, training, len(test))}
    if manifest.estimator != LINEAR_ESTIMATORS[schema.task]:
        found[LINEAR] = _answer_linearly(project, training, test)
    return {
        name: Baseline(
            metrics=compute_metrics(schema.task, test.target, baseline),
            comparison=compare_paired(metric, test.target, answers, baseline, settings.gate.resamples, settings.seed),
        )
        for name, baseline in found.items()
    }


def _answer_constantly(project: Project, training: Dataset, rows: int) -> Answers:
    """The shares of the labels; or of the mean and the quantiles what the gate's metric likes best in training."""
    labels, target = len(project.schema.labels), training.target
    if labels:
        return Answers(np.tile(np.bincount(target, minlength=labels) / len(target), (rows, 1)))
    metric = find_metric(project.schema, project.model)
    values = [target.mean(), *np.quantile(target, np.arange(1, 20) / 20)]
    gains = [metric.gain(metric.compute(target, np.full(len(target), value)), 0) for value in values]
    return Answers(np.full(rows, values[int(np.argmax(np.nan_to_num(gains, nan=-np.inf)))]))


def _answer_linearly(project: Project, training: Dataset, test: Dataset) -> Answers:
    schema, settings, name = project.schema, project.model, LINEAR_ESTIMATORS[project.schema.task]
    plan = plan_features(schema, settings.features.derived)
    choice, matrix = Choice(name, settings.hyperparameters.get(name, {})), engineer_features(training.columns, plan)
    pipeline = fit_pipeline(schema, settings, plan, training, matrix, choice)
    # Hardly fitted to single rows, so that its own training rows will do to decide by.
    weights = choose_weights(schema, settings, training.target, score_rows(pipeline, schema, matrix))
    return Answers(score_rows(pipeline, schema, engineer_features(test.columns, plan)), weights)
