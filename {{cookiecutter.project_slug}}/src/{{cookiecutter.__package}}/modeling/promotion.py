"""The `promote` stage and its way back: what moves `latest`, and what must hold before it does."""

import math
import shutil
from statistics import median
from time import perf_counter

from ..config import Project
from ..data.preparation import SUMMARY_FILE, read_summary
from ..data.splitting import is_unseen
from ..errors import ProjectError, PromotionRefusedError
from ..files import hash_file, write_bytes, write_json
from ..schema import is_same_table
from ..terminal import get_logger
from ..tracking.run import point_champion, resume_run
from .card import FIGURES, write_card
from .dataset import read_dataset, read_slices
from .evaluation import Evaluation, read_evaluation, score_dataset
from .gate import Measured, Verdict, check_against, check_alone
from .manifest import (
    MANIFEST_FILE,
    ONNX_FILE,
    SKOPS_FILE,
    GateRecord,
    Manifest,
    check_artifacts,
    describe_artifacts,
    manifest_json,
    read_manifest,
)
from .metrics import find_metric
from .model import Model, load_model
from .registry import NewVersion, Registry, now

CARD_FILE = "model_card.md"

_LATENCY_TRIES = 100

_logger = get_logger(__name__)


def promote_model(project: Project, new_schema: bool = False, force_reason: str = "") -> str:
    """Make the candidate a version and move `latest` to it, if the gate lets it; the version.

    Args:
        project: the project whose candidate was trained and evaluated.
        new_schema: accept a candidate whose table differs from that of `latest`, with which it then
            cannot be compared; all else still holds.
        force_reason: promote in spite of the gate, and record why. Damaged files are refused all the same.

    Raises:
        PromotionRefusedError: the candidate is not good enough; nothing changed.
        ProjectError: the candidate is missing, was changed, or was not evaluated.
    """
    registry = Registry(project.models)
    read_manifest(project.candidate)  # says what is wrong with it before its hash is asked for
    with resume_run(project, hash_file(project.candidate / MANIFEST_FILE)) as run:
        version = _promote(project, registry, new_schema, force_reason)
        run.log_version(version, registry.folder(version))
        run.reach("promoted")
    point_champion(project, registry.latest() or version)
    return version


def _promote(project: Project, registry: Registry, new_schema: bool, force_reason: str) -> str:
    # Held all along: what is compared with `latest` must still be latest when the pointer moves.
    with registry.locked():
        manifest = read_manifest(project.candidate)
        check_artifacts(project.candidate, manifest)
        evaluation = read_evaluation(project)
        latest = registry.latest()
        verdict = _judge(project, registry, manifest, evaluation, latest, new_schema)
        if not verdict.passed and not force_reason:
            reasons = "\n".join(f"  {reason}" for reason in verdict.reasons)
            raise PromotionRefusedError(f"Not promoted:\n{reasons}\nlatest stays {latest or 'unset'}.")
        with registry.new_version() as version:
            _fill_version(project, version, manifest, evaluation, verdict, latest, force_reason)
        value = evaluation.metrics["test"][project.model.gate.metric]
        why = force_reason or f"test {project.model.gate.metric} {value:.4f}"
        registry.move_latest(version.name, why, forced=not verdict.passed)
    _logger.info("Promoted %s: test %s %.4f", version.name, project.model.gate.metric, value)
    for reason in verdict.reasons:
        _logger.warning("Forced against the gate: %s", reason)
    return version.name


def roll_back(project: Project, version: str | None = None) -> str:
    """Point `latest` at an older version, by default the one before; the version.

    It is hashed, loaded, and made to score the held-out rows before the pointer moves.

    Raises:
        ProjectError: there is no such version, it is damaged, or it has no number for the held-out rows.
    """
    registry = Registry(project.models)
    with registry.locked():
        target = version or registry.predecessor()
        if target is None:
            raise ProjectError("There is no version before latest to roll back to; name one: `rollback v1`.")
        manifest = registry.manifest(target)
        if target == registry.moves()[-1].to_version:
            raise ProjectError(f"latest is {target} already; name another version.")
        predictor = load_model(registry.folder(target))
        measured = _measure_again(project, predictor)
        registry.move_latest(target, f"rollback, {measured}")
    _logger.info("Rolled back to %s (%s): %s", target, manifest.estimator, measured)
    point_champion(project, registry.latest() or target)
    return target


def _judge(
    project: Project,
    registry: Registry,
    manifest: Manifest,
    evaluation: Evaluation,
    latest: str | None,
    new_schema: bool,
) -> Verdict:
    gate, schema = project.model.gate, project.schema
    metric = find_metric(schema.task, gate.metric)
    candidate = load_model(project.candidate)
    test = read_dataset(project.splits, "test", schema)
    measured = Measured(
        value=evaluation.metrics["test"][gate.metric],
        rows=len(test),
        latency=_measure_latency(project, candidate),
        size=manifest.files[ONNX_FILE if manifest.runtime == "onnx" else SKOPS_FILE].bytes,
        parity_problem="" if manifest.parity.passed or not project.model.parity.required else manifest.parity.reason,
    )
    reasons = check_alone(gate, metric, measured)
    if latest is None:
        return Verdict(tuple(reasons))
    champion = load_model(registry.folder(latest))
    difference = _find_difference(project, champion.manifest)
    if difference:
        if new_schema:
            _logger.warning("%s %s was trained on; the two were not compared.", difference, latest)
        else:
            reasons.append(
                f"{difference} {latest} was trained on, so the two cannot be compared; "
                "run `promote --new-schema` to accept that"
            )
        return Verdict(tuple(reasons))
    against = check_against(
        gate,
        metric,
        test.target,
        score_dataset(candidate, test, schema),
        score_dataset(champion, test, schema),
        read_slices(project.splits, "test", gate.slices.columns, schema),
        project.model.seed,
    )
    return Verdict((*reasons, *against.reasons), against.comparison, against.slices)


def _find_difference(project: Project, champion: Manifest) -> str:
    if not is_same_table(champion.table, project.schema):
        return "config/schema.yaml differs from the table that"
    then, now = champion.data.split, read_summary(project).split
    if then is not None and now is not None and not is_unseen(now, then):
        return "test rows, by another split or since rows of an earlier time came, may be among those that"
    return ""


def _measure_latency(project: Project, predictor: Model) -> float:
    """Milliseconds that a prediction of one row takes, the median of many."""
    test = read_dataset(project.splits, "test", project.schema)
    row = {name: values[:1] for name, values in test.columns.items()}
    times = []
    for _ in range(_LATENCY_TRIES):
        started = perf_counter()
        predictor.predict(row)
        times.append(perf_counter() - started)
    return 1000 * median(times)


def _fill_version(
    project: Project,
    version: NewVersion,
    manifest: Manifest,
    evaluation: Evaluation,
    verdict: Verdict,
    latest: str | None,
    force_reason: str,
) -> None:
    for name in manifest.files:
        shutil.copyfile(project.candidate / name, version.folder / name)
    compared = verdict.comparison
    complete = manifest.model_copy(
        update={
            "version": version.name,
            "created_at": now(),
            "metrics": evaluation.metrics,
            "intervals": evaluation.intervals,
            "gate": GateRecord(
                metric=project.model.gate.metric,
                against=latest if compared else None,
                gain=compared.gain if compared else None,
                confidence=compared.confidence if compared else None,
                reasons=verdict.reasons,
                forced="" if verdict.passed else force_reason,
            ),
        }
    )
    pictures = [name for name in FIGURES if (project.figures / name).is_file()]
    for name in pictures:
        write_bytes(version.folder / "figures" / name, (project.figures / name).read_bytes())
    write_card(project, complete, verdict, version.folder / CARD_FILE)
    files = [*manifest.files, CARD_FILE, *(f"figures/{name}" for name in pictures)]
    complete = complete.model_copy(update={"files": describe_artifacts(version.folder, files)})
    write_json(version.folder / MANIFEST_FILE, manifest_json(complete))


def _measure_again(project: Project, predictor: Model) -> str:
    gate = project.model.gate
    is_same = is_same_table(predictor.manifest.table, project.schema)
    if not is_same or not (project.splits / SUMMARY_FILE).is_file():
        return "not scored: no prepared rows of its table are here"
    test = read_dataset(project.splits, "test", project.schema)
    scores = score_dataset(predictor, test, project.schema)
    value = find_metric(project.schema.task, gate.metric).compute(test.target, scores)
    if not math.isfinite(value):
        raise ProjectError(f"{predictor.manifest.version} has {gate.metric} {value} on the test rows; latest stays.")
    return f"test {gate.metric} {value:.4f} on {len(test)} rows"
