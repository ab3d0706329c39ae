"""The `promote` stage and its way back: what moves `latest`, and what must hold before it does."""

import math
import shutil
from pathlib import Path
from statistics import median
from time import perf_counter

from ..config import Project
from ..data.preparation import SUMMARY_FILE, read_summary
from ..data.splitting import is_unseen
from ..errors import CodeChangedError, ProjectError, PromotionRefusedError
from ..files import hash_file
from ..git import describe_commit
from ..schema import is_same_table
from ..terminal import get_logger
from ..tracking.run import point_champion, resume_run
from .dataset import Dataset, read_dataset, read_slices
from .evaluation import Evaluation, read_evaluation, score_dataset
from .gate import Measured, Verdict, check_against, check_alone
from .manifest import (
    MANIFEST_FILE,
    ONNX_FILE,
    SKOPS_FILE,
    GateRecord,
    Manifest,
    read_manifest,
    write_manifest,
)
from .metrics import find_metric
from .model import Model, load_model
from .registry import Registry, now
from .report import find_pictures, write_card

CARD_FILE = "model_card.md"

_LATENCY_TRIES = 100

_logger = get_logger(__name__)


def promote_model(project: Project, new_schema: bool = False, force_reason: str = "") -> str:
    """Make the candidate a version and move `latest` to it, if the gate lets it; the version.

    Args:
        project: the project whose candidate was trained and evaluated.
        new_schema: accept a candidate that cannot be compared with `latest`, since that one belongs to another table
            or to other feature code; all else still holds.
        force_reason: promote in spite of the gate, and record why. Damaged files are refused all the same.

    Raises PromotionRefusedError where the candidate is not good enough, and ProjectError where it is missing, was
    changed, or was not evaluated; nothing changed then.
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
        candidate, evaluation = load_model(project.candidate), read_evaluation(project)
        latest = registry.latest()
        verdict = _judge(project, candidate, evaluation, latest, new_schema)
        if not verdict.passed and not force_reason:
            reasons = "\n".join(f"  {reason}" for reason in verdict.reasons)
            raise PromotionRefusedError(f"Not promoted:\n{reasons}\nlatest stays {latest or 'unset'}.")
        compared, metric = verdict.comparison, project.model.gate.metric
        gate = GateRecord(
            metric=metric,
            against=latest if compared else None,
            gain=compared.gain if compared else None,
            confidence=compared.confidence if compared else None,
            reasons=verdict.reasons,
            forced="" if verdict.passed else force_reason,
        )
        measured = {"metrics": evaluation.metrics, "intervals": evaluation.intervals, "gate": gate}
        with registry.new_version() as version:
            made = {"version": version.name, "created_at": now(), "commit": describe_commit(project.root)}
            _fill_version(project, version.folder, candidate.manifest.model_copy(update=made | measured), verdict)
        value = evaluation.metrics["test"][metric]
        registry.move_latest(version.name, force_reason or f"test {metric} {value:.4f}", forced=not verdict.passed)
    _logger.info("Promoted %s: test %s %.4f", version.name, metric, value)
    for reason in verdict.reasons:
        _logger.warning("Forced against the gate: %s", reason)
    return version.name


def _fill_version(project: Project, folder: Path, manifest: Manifest, verdict: Verdict) -> None:
    (folder / "figures").mkdir()
    pictures = [path.name for path in find_pictures(project)]
    for name in manifest.files:
        shutil.copyfile(project.candidate / name, folder / name)
    for name in pictures:
        shutil.copyfile(project.figures / name, folder / "figures" / name)
    write_card(project, manifest, verdict, folder / CARD_FILE)
    write_manifest(folder, manifest, [*manifest.files, CARD_FILE, *(f"figures/{name}" for name in pictures)])


def roll_back(project: Project, version: str | None = None, new_schema: bool = False) -> str:
    """Point `latest` at an older version, by default the one before; the version.

    It is hashed, loaded, and made to score the held-out rows before the pointer moves. Raises ProjectError where there
    is no such version, it is damaged, it has no number for the held-out rows, or it belongs to another table than
    `latest` and `new_schema` does not accept that.
    """
    registry = Registry(project.models)
    with registry.locked():
        target = version or registry.predecessor()
        if target is None:
            raise ProjectError("There is no version before latest to roll back to; name one: `rollback v1`.")
        manifest = registry.manifest(target)
        current = registry.moves()[-1].to_version
        if target == current:
            raise ProjectError(f"latest is {target} already; name another version.")
        try:
            table = registry.manifest(current).table
        except ProjectError:  # which may be the reason to roll back
            table = project.schema
        if not new_schema and not is_same_table(manifest.table, table):
            raise ProjectError(
                f"{target} was trained on another table than {current}, so clients would have to send other rows; "
                f"run `rollback {target} --new-schema` to accept that. latest stays {current}."
            )
        measured = _measure_again(project, load_model(registry.folder(target)))
        registry.move_latest(target, f"rollback, {measured}")
    _logger.info("Rolled back to %s (%s): %s", target, manifest.estimator, measured)
    point_champion(project, registry.latest() or target)
    return target


def _judge(project: Project, candidate: Model, evaluation: Evaluation, latest: str | None, new_schema: bool) -> Verdict:
    gate, schema, manifest = project.model.gate, project.schema, candidate.manifest
    metric = find_metric(schema.task, gate.metric)
    test = read_dataset(project.splits, "test", schema)
    measured = Measured(
        value=evaluation.metrics["test"][gate.metric],
        rows=len(test),
        latency=_measure_latency(candidate, test),
        size=manifest.files[ONNX_FILE if manifest.runtime == "onnx" else SKOPS_FILE].bytes,
        parity_problem="" if manifest.parity.passed or not project.model.parity.required else manifest.parity.reason,
    )
    reasons = tuple(check_alone(gate, metric, measured))
    if latest is None:
        return Verdict(reasons)
    champion = _find_comparable(project, latest)
    if isinstance(champion, str):
        if new_schema:
            _logger.warning("%s The two were not compared.", champion)
            return Verdict(reasons)
        remedy = "The two cannot be compared; run `promote --new-schema` to accept that"
        return Verdict((*reasons, f"{champion} {remedy}"))
    against = check_against(
        gate,
        metric,
        test.target,
        score_dataset(candidate, test, schema),
        score_dataset(champion, test, schema),
        read_slices(project.splits, "test", gate.slices.columns, schema),
        project.model.seed,
    )
    return Verdict((*reasons, *against.reasons), against.comparison)


def _find_comparable(project: Project, latest: str) -> Model | str:
    """The model in production, or why a candidate cannot be compared with it."""
    registry = Registry(project.models)
    manifest, now = registry.manifest(latest), read_summary(project).split
    if not is_same_table(manifest.table, project.schema):
        return f"config/schema.yaml differs from the table that {latest} was trained on."
    if manifest.data.split is not None and now is not None and not is_unseen(now, manifest.data.split):
        return (
            "By another split, or since rows of an earlier time came, test rows may be among those that "
            f"{latest} was trained on."
        )
    try:
        return load_model(registry.folder(latest))
    except CodeChangedError as error:
        return str(error)


def _measure_latency(model: Model, test: Dataset) -> float:
    """Milliseconds that a prediction of one row takes, the median of many."""
    row = {name: values[:1] for name, values in test.columns.items()}
    times = []
    for _ in range(_LATENCY_TRIES):
        started = perf_counter()
        model.predict(row)
        times.append(perf_counter() - started)
    return 1000 * median(times)


def _measure_again(project: Project, model: Model) -> str:
    gate, schema = project.model.gate, project.schema
    if not is_same_table(model.manifest.table, schema) or not (project.splits / SUMMARY_FILE).is_file():
        return "not scored: no prepared rows of its table are here"
    test = read_dataset(project.splits, "test", schema)
    value = find_metric(schema.task, gate.metric).compute(test.target, score_dataset(model, test, schema))
    if not math.isfinite(value):
        raise ProjectError(f"{model.manifest.version} has {gate.metric} {value} on the test rows; latest stays.")
    return f"test {gate.metric} {value:.4f} on {len(test)} rows"
