"""The `promote` stage: the gate between a candidate and `latest`."""

import math

from ..config import Project
from ..errors import PromotionRefusedError
from ..utils.logger import get_logger
from .dataset import read_dataset
from .evaluation import Evaluation, read_evaluation, score_predictor
from .manifest import check_artifacts, read_manifest
from .metrics import find_metric
from .predictor import load_predictor
from .registry import Registry

_logger = get_logger(__name__)


def promote_model(project: Project, new_schema: bool = False) -> str:
    """Make the candidate a version and move `latest` to it, if the gate lets it; the version.

    Args:
        project: the project whose candidate was trained and evaluated.
        new_schema: accept a candidate whose table differs from that of `latest`, with which it then
            cannot be compared; the minimum still holds.

    Raises:
        PromotionRefusedError: the candidate is not good enough; nothing changed.
        ProjectError: the candidate is missing, was changed, or was not evaluated.
    """
    manifest = read_manifest(project.candidate)
    check_artifacts(project.candidate, manifest)
    evaluation = read_evaluation(project)
    registry = Registry(project.models)
    latest = registry.latest()
    reasons = _check_minimum(project, evaluation)
    if latest is not None:
        reasons += _compare_with_latest(project, registry, latest, evaluation, new_schema)
    if reasons:
        raise PromotionRefusedError(
            "Not promoted:\n" + "\n".join(f"  {reason}" for reason in reasons) + f"\nlatest stays {latest or 'unset'}."
        )
    version = registry.add(project.candidate, evaluation.metrics)
    gate = project.model.gate
    value = evaluation.metrics["test"][gate.metric]
    registry.move_latest(version, f"test {gate.metric} {value:.4f}")
    _logger.info("Promoted %s: test %s %.4f", version, gate.metric, value)
    return version


def _check_minimum(project: Project, evaluation: Evaluation) -> list[str]:
    gate = project.model.gate
    metric = find_metric(project.schema.task, gate.metric)
    value = evaluation.metrics["test"][gate.metric]
    if math.isfinite(value) and metric.reaches(value, gate.minimum):
        return []
    relation = "below" if metric.greater_is_better else "above"
    return [
        f"test {gate.metric} {value:.4f} is {relation} gate.minimum {gate.minimum:g} of config/model.yaml"
        if math.isfinite(value)
        else f"test {gate.metric} is {value}, which is no number"
    ]


def _compare_with_latest(
    project: Project, registry: Registry, latest: str, evaluation: Evaluation, new_schema: bool
) -> list[str]:
    gate = project.model.gate
    metric = find_metric(project.schema.task, gate.metric)
    champion = load_predictor(registry.folder(latest))
    if champion.manifest.table != project.schema:
        if new_schema:
            _logger.warning("The table differs from that of %s; only the minimum was checked.", latest)
            return []
        return [
            f"config/schema.yaml differs from the table that {latest} was trained on, so the two cannot be compared; "
            "run `promote --new-schema` to accept that"
        ]
    test = read_dataset(project.splits, "test", project.schema)
    held = score_predictor(champion, test)[gate.metric]
    value = evaluation.metrics["test"][gate.metric]
    if metric.is_better(value, held):
        return []
    return [
        f"test {gate.metric} {value:.4f} is not better than the {held:.4f} of {latest} on the same rows ({len(test)})"
    ]
