"""The `promote` stage and its way back: what moves `latest`, and what must hold before it does."""

import json
import logging
import shutil
from contextlib import suppress
from datetime import UTC, datetime

from ..config import Project
from ..data.preparation import read_summary
from ..data.splitting import is_unseen
from ..errors import CodeChangedError, ProjectError, PromotionRefusedError
from ..files import hash_file
from ..schema import is_same_table
from ..tracking.run import describe_commit, open_run, send_runs
from .dataset import read_dataset, read_slices
from .evaluation import answer_dataset
from .gate import check_alone, check_better, check_slices, compare_paired
from .manifest import MANIFEST_FILE, Manifest, Verdict, read_manifest, write_manifest
from .metrics import compute_metrics, find_metric
from .model import Model, load_model
from .registry import Registry
from .report import Evaluation, find_pictures, read_evaluation, write_card, write_comparison

_logger = logging.getLogger(__name__)


def promote_model(project: Project, new_schema: bool = False, force_reason: str = "") -> str:
    """Make the candidate a version and move `latest` to it, if the gate lets it; one line that says what became of it.

    Without `force_reason`, a candidate that is `latest` once more changes nothing. `new_schema` accepts one that cannot
    be compared with `latest`, since that one belongs to another table or to other feature code; all else still holds.
    `force_reason` promotes in spite of the gate, and is recorded; damaged files are refused all the same. Raises
    PromotionRefusedError where the candidate is not good enough, and ProjectError where it is missing, was changed, or
    was not evaluated; nothing changed then.
    """
    registry = Registry(project.models)
    read_manifest(project.candidate)  # says what is wrong with it before its hash is asked for
    with open_run(project, hash_file(project.candidate / MANIFEST_FILE)) as run:
        # Held all along: what is compared with `latest` must still be latest when the pointer moves.
        with registry.locked():
            candidate = load_model(project.candidate)
            if registry.is_latest(candidate.manifest) and not force_reason:
                return f"models/latest stays {registry.latest()}: the same data and settings gave the same model"
            evaluation = read_evaluation(project)
            verdict = _judge(project, candidate, evaluation, new_schema)
            if verdict.reasons and not force_reason:
                reasons = "\n".join(f"  {reason}" for reason in verdict.reasons)
                raise PromotionRefusedError(f"Not promoted:\n{reasons}\nlatest stays {registry.latest() or 'unset'}.")
            verdict = verdict.model_copy(update={"forced": force_reason if verdict.reasons else ""})
            version = _add_version(project, candidate.manifest, evaluation, verdict)
            value = f"test {verdict.metric} {evaluation.metrics['test'][verdict.metric]:.4f}"
            registry.move_latest(version, force_reason or value, forced=bool(verdict.forced))
        _logger.info("Promoted %s: %s", version, value)
        for reason in verdict.reasons:
            _logger.warning("Forced against the gate: %s", reason)
        run.reach("promoted", version=version)
    return f"models/latest is now {version}"


def preview_promotion(project: Project, new_schema: bool = False) -> str:
    """What the gate would say, which reports/comparison.md says with all metrics. Nothing moves and nothing counts.

    Raises ProjectError where the candidate is missing, was changed, or was not evaluated, or `latest` is damaged.
    """
    registry, candidate, evaluation = Registry(project.models), load_model(project.candidate), read_evaluation(project)
    verdict = _judge(project, candidate, evaluation, new_schema)
    latest, said = registry.latest(), "The gate would let this candidate pass."
    if registry.is_latest(candidate.manifest):
        said = f"Nothing new: the same data and settings gave the model that {latest} is."
    elif verdict.reasons:
        said = "The gate would refuse this candidate:"
    title = f"{candidate.manifest.estimator} against {latest or 'no version yet'}"
    write_comparison(project, title, said, evaluation, verdict)
    return "\n".join([said, *verdict.reasons])


def roll_back(project: Project, version: str | None = None, new_schema: bool = False) -> str:
    """Point `latest` at an older version, by default the one before; the version.

    It is hashed, loaded, and made to score its golden rows before the pointer moves. Raises ProjectError where there is
    no such version, it is damaged, or it belongs to another table than `latest` and `new_schema` does not accept that.
    """
    registry = Registry(project.models)
    with registry.locked():
        last = registry.moves()[-1:]
        target = version or (last[0].from_version if last else None)
        if target is None:
            raise ProjectError("There is no version before latest to roll back to; name one: `rollback v1`.")
        manifest, current = registry.manifest(target), last[0].to_version
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
        load_model(registry.folder(target))
        registry.move_latest(target, "rollback")
    _logger.info("Rolled back to %s (%s)", target, manifest.estimator)
    send_runs(project, [], registry.latest() or target)
    return target


def _judge(project: Project, model: Model, evaluation: Evaluation, new_schema: bool) -> Verdict:
    """What the gate says of a candidate."""
    settings, schema, registry = project.model, project.schema, Registry(project.models)
    gate, metric, latest = settings.gate, find_metric(schema, settings), registry.latest()
    test = read_dataset(project.splits, "test", schema)
    slices = read_slices(project.splits, "test", gate.slices.columns, schema)
    answers = answer_dataset(model, test, schema)
    reasons = [*check_alone(gate, metric, test.target, answers, schema.labels)]
    compared, metrics, champion = [evaluation.constant], dict[str, float](), None
    if latest is not None:
        try:
            champion = answer_dataset(_load_comparable(project, latest), test, schema)
        except CodeChangedError as problem:
            adopted = project.root / "config" / "adopted.json"
            # Which version belongs to the table before the one that `adopt` brought.
            record = json.loads(adopted.read_bytes()) if adopted.is_file() else {}
            if new_schema or record.get("supersedes") == latest:
                _logger.warning("%s The two were not compared.", problem)
            else:
                reasons.append(f"{problem} The two cannot be compared; run `promote --new-schema` to accept that")
    if latest is not None and champion is not None:
        compared.append(compare_paired(settings, metric, test.target, answers, f"latest ({latest})", champion))
        reasons += check_slices(gate, metric, test.target, slices, answers, champion)
        metrics = compute_metrics(schema.task, test.target, champion)
    reasons += [reason for each in compared for reason in check_better(gate, each)]
    against = latest if metrics else None
    return Verdict(
        metric=gate.metric, against=against, compared=tuple(compared), metrics=metrics, reasons=tuple(reasons)
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


def _add_version(project: Project, manifest: Manifest, evaluation: Evaluation, gate: Verdict) -> str:
    with Registry(project.models).new_version() as (version, folder):
        for path in (*(project.candidate / name for name in manifest.files), *find_pictures(project)):
            copy = folder / ("figures" if path.suffix == ".png" else "") / path.name
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
        made = {
            "version": version,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": describe_commit(project.root),
            "metrics": evaluation.metrics,
            "intervals": evaluation.intervals,
            "gate": gate,
        }
        manifest = manifest.model_copy(update=made)
        write_card(project, manifest, evaluation, folder / "model_card.md")
        write_manifest(folder, manifest)
    return version
