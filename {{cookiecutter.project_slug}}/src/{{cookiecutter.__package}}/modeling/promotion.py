"""The `promote` stage and its way back: what moves `latest`, and what must hold before it does."""

import json
import math
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from statistics import median
from timeit import repeat

import numpy as np

from ..config import Project
from ..data.preparation import SUMMARY_FILE, read_summary
from ..data.splitting import is_unseen
from ..errors import CodeChangedError, ProjectError, PromotionRefusedError
from ..files import hash_file, hash_json
from ..git import describe_commit
from ..schema import is_same_table
from ..terminal import get_logger
from ..tracking.run import point_champion, resume_run
from .dataset import Dataset, read_dataset, read_slices
from .evaluation import answer_dataset
from .gate import (
    CONSTANT,
    INTERVAL_DRAWS,
    Look,
    Measured,
    PairedComparison,
    check_against,
    check_alone,
    check_rivals,
    compare_paired,
    measure_groups,
)
from .manifest import MANIFEST_FILE, ONNX_FILE, SKOPS_FILE, GateRecord, Manifest, read_manifest, write_manifest
from .metrics import METRICS, Answers, find_metric
from .model import Model, choose_places, load_model
from .registry import Registry
from .report import Comparison, Evaluation, find_pictures, read_evaluation, write_card, write_comparison

_logger = get_logger(__name__)


def promote_model(project: Project, new_schema: bool = False, force_reason: str = "") -> str:
    """Make the candidate a version and move `latest` to it, if the gate lets it; the version.

    `new_schema` accepts a candidate that cannot be compared with `latest`, since that one belongs to another table or
    to other feature code; all else still holds. `force_reason` promotes in spite of the gate, and is recorded; damaged
    files are refused all the same. Raises PromotionRefusedError where the candidate is not good enough, and
    ProjectError where it is missing, was changed, or was not evaluated; nothing changed then.
    """
    registry = Registry(project.models)
    read_manifest(project.candidate)  # says what is wrong with it before its hash is asked for
    with resume_run(project, hash_file(project.candidate / MANIFEST_FILE)) as run:
        # Held all along: what is compared with `latest` must still be latest when the pointer moves.
        with registry.locked():
            candidate, evaluation, latest = load_model(project.candidate), read_evaluation(project), registry.latest()
            verdict, compared, _ = _judge(project, candidate, evaluation, latest, new_schema)
            if verdict.reasons:
                reasons = "\n".join(f"  {reason}" for reason in verdict.reasons)
                if not force_reason:
                    raise PromotionRefusedError(f"Not promoted:\n{reasons}\nlatest stays {latest or 'unset'}.")
                verdict = verdict.model_copy(update={"forced": force_reason})
            version = _add_version(project, candidate.manifest, evaluation, verdict, compared)
            value = f"test {verdict.metric} {evaluation.metrics['test'][verdict.metric]:.4f}"
            registry.move_latest(version, force_reason or value, forced=bool(verdict.forced))
        _logger.info("Promoted %s: %s", version, value)
        for reason in verdict.reasons:
            _logger.warning("Forced against the gate: %s", reason)
        run.reach("promoted", version=version)
    return version


def preview_promotion(project: Project, new_schema: bool = False) -> Comparison:
    """What the gate would say of the candidate; written to reports/comparison.md. Nothing moves and nothing counts.

    Raises ProjectError where the candidate is missing, was changed, or was not evaluated, or `latest` is damaged.
    """
    registry, settings, schema = Registry(project.models), project.model, project.schema
    candidate, evaluation, latest = load_model(project.candidate), read_evaluation(project), registry.latest()
    verdict, compared, former = _judge(project, candidate, evaluation, latest, new_schema, record=False)
    test, metric = read_dataset(project.splits, "test", schema), find_metric(schema, settings)
    slices = read_slices(project.splits, "test", settings.gate.slices.columns, schema)
    models, metrics = [answer_dataset(candidate, test, schema)], {}
    if former is not None:
        metrics = {
            name: compare_paired(each, test.target, models[0], former, INTERVAL_DRAWS, settings.seed)
            for name, each in METRICS[schema.task].items()
        }
        models.append(former)
    groups = list(measure_groups(settings.gate, metric, test.target, slices, *models))
    is_same = registry.is_latest(candidate.manifest)
    comparison = Comparison(verdict, latest, compared, is_same, metrics, groups)
    write_comparison(project, candidate.manifest, evaluation, comparison)
    return comparison


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
        table = project.schema
        with suppress(ProjectError):  # which may be the reason to roll back
            table = registry.manifest(current).table
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


def _judge(
    project: Project,
    candidate: Model,
    evaluation: Evaluation,
    latest: str | None,
    new_schema: bool,
    record: bool = True,
) -> tuple[GateRecord, PairedComparison | None, Answers | None]:
    """What the gate says, and, where there is one to compare with, how that went and what `latest` answered."""
    gate, schema, registry = project.model.gate, project.schema, Registry(project.models)
    metric, test = find_metric(schema, project.model), read_dataset(project.splits, "test", schema)
    slices = read_slices(project.splits, "test", gate.slices.columns, schema)
    answers = answer_dataset(candidate, test, schema)
    reasons = [*check_alone(gate, metric, _measure(project, candidate, evaluation, test, answers))]
    champion = None
    if latest is not None:
        try:
            champion = _load_comparable(project, latest)
        except CodeChangedError as problem:
            if new_schema or _is_superseded(project, latest):
                _logger.warning("%s The two were not compared.", problem)
            else:
                remedy = "The two cannot be compared; run `promote --new-schema` to accept that"
                reasons.append(f"{problem} {remedy}")
    against, rows = latest if champion else None, sorted((project.splits / "test").iterdir())
    digest = hash_json([hash_file(path) for path in rows])
    number = registry.count_candidate(against, digest, evaluation.candidate, record)
    look = Look(number, against or CONSTANT)
    reasons += check_rivals(gate, look, {name: each.comparison for name, each in evaluation.baselines.items()})
    said = GateRecord(metric=gate.metric, against=against, number=number, asked=look.ask(gate), reasons=(*reasons,))
    if champion is None:
        return said, None, None
    former = answer_dataset(champion, test, schema)
    compared, more = check_against(gate, metric, test.target, answers, former, slices, project.model.seed, look)
    found = {"gain": compared.gain, "confidence": compared.confidence, "reasons": (*reasons, *more)}
    return said.model_copy(update=found), compared, former


def _measure(project: Project, candidate: Model, evaluation: Evaluation, test: Dataset, answers: Answers) -> Measured:
    manifest, labels = candidate.manifest, project.schema.labels
    row = {name: values[:1] for name, values in test.columns.items()}
    given = np.unique(choose_places(*answers)).tolist() if labels else []
    return Measured(
        value=evaluation.metrics["test"][project.model.gate.metric],
        rows=len(test),
        latency=1000 * median(repeat(lambda: candidate.predict(row), number=1, repeat=100)),
        size=manifest.files[ONNX_FILE if manifest.runtime == "onnx" else SKOPS_FILE].bytes,
        parity_problem="" if manifest.parity.passed or not project.model.parity.required else manifest.parity.reason,
        only_label=labels[given[0]] if len(given) == 1 else "",
    )


def _load_comparable(project: Project, latest: str) -> Model:
    """The model in production. Raises CodeChangedError where a candidate cannot be compared with it."""
    manifest, split = Registry(project.models).manifest(latest), read_summary(project).split
    if not is_same_table(manifest.table, project.schema):
        raise CodeChangedError(f"config/schema.yaml differs from the table that {latest} was trained on.")
    if manifest.data.split is not None and split is not None and not is_unseen(split, manifest.data.split):
        raise CodeChangedError(
            "By another split, or since rows of an earlier time came, test rows may be among those that "
            f"{latest} was trained on."
        )
    return load_model(Registry(project.models).folder(latest))


def _is_superseded(project: Project, latest: str) -> bool:
    """Whether `latest` belongs to the table before the one that `adopt` brought, so that comparing makes no sense."""
    path = project.root / "config" / "adopted.json"
    try:
        return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("supersedes") == latest
    except (ValueError, AttributeError) as error:
        raise ProjectError("config/adopted.json is not valid JSON; restore it, or remove it.") from error


def _add_version(
    project: Project, manifest: Manifest, evaluation: Evaluation, gate: GateRecord, compared: PairedComparison | None
) -> str:
    with Registry(project.models).new_version() as (version, folder):
        created_at, commit = datetime.now(UTC).isoformat(timespec="seconds"), describe_commit(project.root)
        made = {"version": version, "created_at": created_at, "commit": commit, "gate": gate}
        measured = {"metrics": evaluation.metrics, "intervals": evaluation.intervals}
        for name in manifest.files:
            shutil.copyfile(project.candidate / name, folder / name)
        (folder / "figures").mkdir()
        for path in find_pictures(project):
            shutil.copyfile(path, folder / "figures" / path.name)
        manifest = manifest.model_copy(update=made | measured)
        write_card(project, manifest, evaluation, compared, folder / "model_card.md")
        write_manifest(folder, manifest)
    return version


def _measure_again(project: Project, model: Model) -> str:
    gate, schema = project.model.gate, project.schema
    if not is_same_table(model.manifest.table, schema) or not (project.splits / SUMMARY_FILE).is_file():
        return "not scored: no prepared rows of its table are here"
    test = read_dataset(project.splits, "test", schema)
    value = find_metric(schema, project.model).compute(test.target, *answer_dataset(model, test, schema))
    if not math.isfinite(value):
        raise ProjectError(f"{model.manifest.version} has {gate.metric} {value} on the test rows; latest stays.")
    return f"test {gate.metric} {value:.4f} on {len(test)} rows"
