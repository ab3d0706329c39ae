"""The command `adopt`: look at a table, decide, and write all of it or nothing."""

import json
import math
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import Literal

import polars as pl

from ...config import PipelineSettings, Project, SourceSettings, SplitSettings, ValidationSettings
from ...errors import ProjectError
from ...files import hash_file, staged_folder, sync_folder
from ...schema import Column, Schema
from ..loading import ROW_NUMBER, check_file, explain_polars_errors, is_nested, scan_table
from ..validation import check_rows
from .configuration import suggest_model, write_model, write_pipeline, write_schema
from .dialect import Dialect, DialectOptions, detect_dialect
from .inference import Decision, Wishes, check_wishes, decide_columns, decide_target, find_missing_words
from .leakage import find_leaks
from .seeds import choose_seed
from .survey import Survey, survey_table
from .times import cut_by_time

RECORD_FILE = "adopted.json"
FORMER_FOLDER = "previous"

_ADOPTED_FILES = ("schema.yaml", "pipeline.yaml", "model.yaml", RECORD_FILE)
_REJECTED_SHARE = 0.05
_FEW_DUPLICATES = 0.02
_LARGE_MATRIX_BYTES = 4e9


@dataclass(frozen=True)
class Adoption:
    """What was decided about a table, and where things went."""

    table: Path
    rows: int
    schema: Schema
    source: SourceSettings
    decisions: list[Decision]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def adopt_table(
    project: Project, path: Path, wishes: Wishes, options: DialectOptions, latest: str | None = None
) -> Adoption:
    """Make `path` the project's table: infer the schema, copy the file, write the settings.

    Args:
        project: the project, whose former settings are kept in a folder `previous` beside the new ones.
        path: a CSV, TSV or Parquet file.
        wishes: what the user says of the columns.
        options: what the user says of the file.
        latest: the version in production, which the table's first model cannot be compared with.

    Raises:
        ProjectError: the table cannot be used; nothing was written.
    """
    dialect = _read_dialect(path, options)
    raw = scan_table(path, dialect.source)
    with explain_polars_errors(path):
        found = [name for name in raw.collect_schema().names() if name != ROW_NUMBER]
        check_wishes(wishes, found, dialect.header)
        names = [name for name in found if name not in wishes.dropped]
        survey = survey_table(raw.select(ROW_NUMBER, *names), names, dialect.source)
    words = find_missing_words(survey)
    source = dialect.source.model_copy(update={"null_values": _add(dialect.source.null_values, words)})
    task, target = decide_target(survey, wishes)
    others = decide_columns(survey, wishes)
    left_out = [Decision(name, "dropped", None, "--drop") for name in wishes.dropped]
    decisions = sorted([target, *others, *left_out], key=lambda decision: found.index(decision.name))
    _require_features(decisions)
    columns = {decision.name: decision.column for decision in decisions if decision.column is not None}
    schema = Schema(task=task, target=wishes.target, columns=columns)
    sample = survey.sample.with_columns(pl.when(~pl.col(pl.String).is_in(words)).then(pl.col(pl.String)))
    notes = [*dialect.notes, *_describe_names(found, dialect), *_describe_words(words)]
    settings = _suggest_pipeline(project, survey, sample, schema, decisions, source, wishes, notes)
    warnings = _find_problems(survey, sample, schema, source)
    copy = _place_copy(project, path, settings)
    settings = settings.model_copy(
        update={"source": source.model_copy(update={"files": escape(copy.relative_to(project.raw).as_posix())})}
    )
    texts = {
        "schema.yaml": write_schema(schema, decisions, path.name),
        "pipeline.yaml": write_pipeline(settings),
        "model.yaml": write_model(suggest_model(schema, survey.rows), task),
        RECORD_FILE: json.dumps({"table": copy.name, "sha256": hash_file(path), "supersedes": latest}, indent=2) + "\n",
    }
    notes.append(f"Former settings: config/{FORMER_FOLDER}/{_commit(project, path, copy, texts)}")
    return Adoption(copy, survey.rows, schema, source, decisions, notes, warnings)


def superseded_version(project: Project) -> str | None:
    """The version that was in production when the present table was adopted, if any."""
    try:
        record = json.loads((project.root / "config" / RECORD_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ProjectError(f"config/{RECORD_FILE} is not valid JSON; restore it, or remove it.") from error
    version = record.get("supersedes") if isinstance(record, dict) else None
    return str(version) if version else None


def _read_dialect(path: Path, options: DialectOptions) -> Dialect:
    check_file(path)
    if path.suffix.lower() != ".parquet":
        return detect_dialect(path, options)
    with explain_polars_errors(path):
        found = pl.scan_parquet(path).collect_schema()
    nested = [name for name, dtype in found.items() if is_nested(dtype)]
    notes = [f"Lists, structures and bytes are not read: {', '.join(map(repr, nested))}."] if nested else []
    durations = [name for name, dtype in found.items() if isinstance(dtype, pl.Duration)]
    notes += [f"Durations are read in seconds: {', '.join(map(repr, durations))}."] if durations else []
    return Dialect(options.read(), found.names(), notes)


def _require_features(decisions: list[Decision]) -> None:
    if any(decision.use == "feature" for decision in decisions):
        return
    reasons = "\n".join(f"  {decision.name}: {decision.why}" for decision in decisions if decision.use != "target")
    raise ProjectError(f"No column is left to predict from:\n{reasons}")


def _suggest_pipeline(
    project: Project,
    survey: Survey,
    sample: pl.DataFrame,
    schema: Schema,
    decisions: list[Decision],
    source: SourceSettings,
    wishes: Wishes,
    notes: list[str],
) -> PipelineSettings:
    return PipelineSettings(
        source=source,
        validation=_suggest_validation(survey, schema, decisions, notes),
        split=_suggest_split(project.pipeline.split, survey, sample, schema, source, wishes, notes),
        paths=project.pipeline.paths,
    )


def _suggest_split(
    former: SplitSettings,
    survey: Survey,
    sample: pl.DataFrame,
    schema: Schema,
    source: SourceSettings,
    wishes: Wishes,
    notes: list[str],
) -> SplitSettings:
    split = former.model_copy(update={"time_column": None, "validation_from": None, "test_from": None})
    if wishes.time is not None:
        column = schema.columns[wishes.time]
        checked = check_rows(
            sample.lazy(), {wishes.time: column}, decimal_comma=source.decimal_comma, thousands=source.thousands
        )
        split = cut_by_time(wishes.time, checked.frame.select(checked.typed()).collect().to_series(), split)
        notes.append(f"Split by {wishes.time}: validation from {split.validation_from}, test from {split.test_from}.")
    elif sample.height == survey.rows:
        split = split.model_copy(update={"seed": choose_seed(sample, schema, source, split)})
    return split


def _suggest_validation(
    survey: Survey, schema: Schema, decisions: list[Decision], notes: list[str]
) -> ValidationSettings:
    duplicates: Literal["keep", "reject"] = "keep" if survey.repeated > _FEW_DUPLICATES * survey.rows else "reject"
    if duplicates == "keep":
        notes.append(
            f"About {survey.repeated / survey.rows:.0%} of the rows repeat another; they are kept "
            "(validation.duplicates)."
        )
    if survey.blank:
        notes.append(f"Rows without any value, which will be rejected: {survey.blank}.")
    unusable = survey.blank + survey.columns[schema.target].missing
    unusable += sum(decision.unreadable for decision in decisions)
    repeated = survey.repeated if duplicates == "reject" else 0
    share = min((unusable + repeated) / (survey.rows + survey.blank), 1.0)
    limit = _REJECTED_SHARE
    if share > _REJECTED_SHARE / 2:
        limit = min(math.ceil((share + _REJECTED_SHARE) * 100) / 100, 1.0)
        notes.append(
            f"About {share:.1%} of the rows will be rejected, so validation.maximum_rejected_share is {limit:g}."
        )
    return ValidationSettings(maximum_rejected_share=limit, duplicates=duplicates)


def _find_problems(survey: Survey, sample: pl.DataFrame, schema: Schema, source: SourceSettings) -> list[str]:
    target = (schema.target, schema.columns[schema.target])
    leaks = find_leaks(sample, schema.features, target, schema.task, source.decimal_comma, source.thousands)
    warnings = [
        f"{name!r} alone tells {schema.target} almost perfectly ({strength:.3f} of 1). If it is known only "
        f"afterwards, adopt again with --drop {json.dumps(name, ensure_ascii=False)}."
        for name, strength in leaks.items()
    ]
    places = sum(_places(column) for column in schema.features.values())
    size = 4.0 * survey.rows * places
    if size > _LARGE_MATRIX_BYTES:
        warnings.append(f"Training will need about {3 * size / 1e9:.0f} GB: {survey.rows} rows of {places} features.")
    return warnings


def _places(column: Column) -> int:
    return len(column.categories) if column.type == "category" else 1 + column.nullable


def _describe_names(found: list[str], dialect: Dialect) -> list[str]:
    plain = [name.removeprefix("\ufeff") for name in dialect.header]
    return [
        f"Column {place + 1}, {old!r}, is called {new!r}: "
        + ("names must differ." if old in plain[:place] else "its name is empty or one of our own.")
        for place, (old, new) in enumerate(zip(plain, found, strict=True))
        if old != new
    ]


def _describe_words(words: list[str]) -> list[str]:
    return [f"These words count as missing: {', '.join(map(repr, words))}."] if words else []


def _add(words: tuple[str, ...], more: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*words, *more]))


def _place_copy(project: Project, path: Path, settings: PipelineSettings) -> Path:
    folder = project.root / settings.paths.raw
    if path.resolve().is_relative_to(folder.resolve()):
        return folder / path.resolve().relative_to(folder.resolve())
    name, number = folder / path.name, 2
    while name.exists() and hash_file(name) != hash_file(path):
        name = folder / f"{path.stem}-{number}{path.suffix}"
        number += 1
    return name


def _commit(project: Project, path: Path, copy: Path, texts: dict[str, str]) -> str:
    # The exchange of the config folder is the one moment at which the project changes tables.
    config = project.root / "config"
    is_new = not copy.exists()
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")
    try:
        if is_new:
            copy.parent.mkdir(parents=True, exist_ok=True)
            partial = copy.with_name(f".{copy.name}.partial")
            try:
                shutil.copyfile(path, partial)
                partial.replace(copy)
            finally:
                partial.unlink(missing_ok=True)
            sync_folder(copy.parent)
        with staged_folder(config) as staging:
            shutil.copytree(config, staging, dirs_exist_ok=True)
            former = staging / FORMER_FOLDER / stamp
            former.mkdir(parents=True)
            for name in _ADOPTED_FILES:
                if (config / name).exists():
                    shutil.copy2(config / name, former / name)
            for name, text in texts.items():
                (staging / name).write_text(text, encoding="utf-8")
    except BaseException:
        if is_new:
            copy.unlink(missing_ok=True)
        raise
    # Made from the former table; `data` makes them anew.
    shutil.rmtree(project.splits, ignore_errors=True)
    shutil.rmtree(project.rejected, ignore_errors=True)
    return stamp
