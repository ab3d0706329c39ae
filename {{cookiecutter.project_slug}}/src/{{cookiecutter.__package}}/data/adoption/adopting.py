"""The command `adopt`: look at a table, decide, and write it all once nothing stands against it."""

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
from ...files import hash_file, write_bytes
from ...schema import Schema
from ..loading import ROW_NUMBER, check_file, explain_polars_errors, is_nested, scan_table
from ..validation import check_rows
from .configuration import suggest_model, write_model, write_pipeline, write_schema
from .dialect import Dialect, DialectOptions, detect_dialect
from .inference import Decision, Wishes, check_wishes, decide_columns, decide_target, find_missing_words
from .leakage import find_leaks
from .survey import Survey, survey_table

RECORD_FILE = "adopted.json"
FORMER_FOLDER = "previous"

_REJECTED_SHARE = 0.05
_FEW_DUPLICATES = 0.02
_FEW_FEATURE_ROWS = 200
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

    `latest` is the version in production, which the table's first model cannot be compared with. Raises ProjectError
    where the table cannot be used; nothing was written then.
    """
    dialect = _read_dialect(path, options)
    raw = scan_table(path, dialect.source)
    with explain_polars_errors(path):
        found = [name for name in raw.collect_schema().names() if name != ROW_NUMBER]
        check_wishes(wishes, found, dialect.header)
        names = [name for name in found if name not in wishes.dropped]
        survey = survey_table(raw.select(ROW_NUMBER, *names), names, dialect.source)
    words = find_missing_words(survey)
    null_values = tuple(dict.fromkeys([*dialect.source.null_values, *words]))
    copy = _find_place(project, path)
    files = escape(copy.relative_to(project.raw).as_posix())
    source = dialect.source.model_copy(update={"null_values": null_values, "files": files})
    schema, decisions = _decide(survey, wishes, found)
    sample = survey.sample.with_columns(pl.when(~pl.col(pl.String).is_in(words)).then(pl.col(pl.String)))
    notes = [*dialect.notes, *_describe_names(found, dialect)]
    notes += [f"These words count as missing: {', '.join(map(repr, words))}."] if words else []
    settings = PipelineSettings(
        source=source,
        validation=_suggest_validation(survey, schema, decisions, notes),
        split=_suggest_split(project.pipeline.split, sample, schema, wishes, notes),
        paths=project.pipeline.paths,
    )
    warnings = _find_problems(survey, sample, schema, source)
    record = {"table": copy.name, "sha256": hash_file(path), "supersedes": latest}
    texts = {
        "model.yaml": write_model(suggest_model(schema, survey.rows), schema.task),
        "pipeline.yaml": write_pipeline(settings),
        RECORD_FILE: json.dumps(record, indent=2) + "\n",
        "schema.yaml": write_schema(schema, decisions, path.name),
    }
    notes.append(f"Former settings: config/{FORMER_FOLDER}/{_write(project, path, copy, texts)}")
    return Adoption(copy, survey.rows, schema, source, decisions, notes, warnings)


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


def _decide(survey: Survey, wishes: Wishes, found: list[str]) -> tuple[Schema, list[Decision]]:
    task, target = decide_target(survey, wishes)
    others = decide_columns(survey, wishes)
    if not any(decision.use == "feature" for decision in others):
        reasons = "\n".join(f"  {decision.name}: {decision.why}" for decision in others)
        raise ProjectError(f"No column is left to predict from:\n{reasons}")
    left_out = [Decision(name, "dropped", None, "--drop") for name in wishes.dropped]
    by_name = {decision.name: decision for decision in [target, *others, *left_out]}
    decisions = [by_name[name] for name in found]
    columns = {decision.name: decision.column for decision in decisions if decision.column is not None}
    return Schema(task=task, target=wishes.target, columns=columns), decisions


def _suggest_split(
    former: SplitSettings, sample: pl.DataFrame, schema: Schema, wishes: Wishes, notes: list[str]
) -> SplitSettings:
    split = SplitSettings(**former.model_dump(include={"validation", "test", "seed"}))
    if wishes.time is not None:
        notes.append(
            f"Split by {wishes.time}: the latest {split.test:.0%} of the rows test, the {split.validation:.0%} before "
            "validate; newer rows move the cut-offs."
        )
        return split.model_copy(update={"time_column": wishes.time})
    different = sample.select(list(schema.features)).n_unique()
    if not schema.identifiers and different < min(_FEW_FEATURE_ROWS, sample.height / 2):
        notes.append(f"Only {different} rows differ in their features, so those alike may be split (split.group_by).")
        return split.model_copy(update={"group_by": "row"})
    return split


def _suggest_validation(
    survey: Survey, schema: Schema, decisions: list[Decision], notes: list[str]
) -> ValidationSettings:
    duplicates: Literal["keep", "reject"] = "keep" if survey.repeated > _FEW_DUPLICATES * survey.rows else "reject"
    if duplicates == "keep":
        share = f"{survey.repeated / survey.rows:.0%}"
        notes.append(f"About {share} of the rows repeat another; they are kept (validation.duplicates).")
    if survey.blank:
        notes.append(f"Rows without any value, which will be rejected: {survey.blank}.")
    unusable = survey.blank + survey.columns[schema.target].missing
    unusable += sum(decision.unreadable for decision in decisions)
    repeated = survey.repeated if duplicates == "reject" else 0
    share_lost = min((unusable + repeated) / (survey.rows + survey.blank), 1.0)
    limit = _REJECTED_SHARE
    if share_lost > _REJECTED_SHARE / 2:
        limit = min(math.ceil((share_lost + _REJECTED_SHARE) * 100) / 100, 1.0)
        notes.append(
            f"About {share_lost:.1%} of the rows will be rejected, so validation.maximum_rejected_share is {limit:g}."
        )
    return ValidationSettings(maximum_rejected_share=limit, duplicates=duplicates)


def _find_problems(survey: Survey, sample: pl.DataFrame, schema: Schema, source: SourceSettings) -> list[str]:
    columns = schema.features | {schema.target: schema.columns[schema.target]}
    checked = check_rows(sample.lazy(), columns, source)
    leaks = find_leaks(checked.frame.select(checked.typed()).collect(), schema)
    warnings = [
        f"{name!r} alone tells {schema.target} almost perfectly ({strength:.3f} of 1). If it is known only "
        f"afterwards, adopt again with --drop {json.dumps(name, ensure_ascii=False)}."
        for name, strength in leaks.items()
    ]
    places = sum(len(column.categories) or 1 + column.nullable for column in schema.features.values())
    size = 4.0 * survey.rows * places
    if size > _LARGE_MATRIX_BYTES:
        warnings.append(f"Training will need about {3 * size / 1e9:.0f} GB: {survey.rows} rows of {places} features.")
    return warnings


def _describe_names(found: list[str], dialect: Dialect) -> list[str]:
    plain = [name.removeprefix("\ufeff") for name in dialect.header]
    return [
        f"Column {place + 1}, {old!r}, is called {new!r}: "
        + ("names must differ." if old in plain[:place] else "its name is empty or one of our own.")
        for place, (old, new) in enumerate(zip(plain, found, strict=True))
        if old != new
    ]


def _find_place(project: Project, path: Path) -> Path:
    folder = project.raw
    if path.resolve().is_relative_to(folder.resolve()):
        return folder / path.resolve().relative_to(folder.resolve())
    place, number = folder / path.name, 2
    while place.exists() and hash_file(place) != hash_file(path):
        place = folder / f"{path.stem}-{number}{path.suffix}"
        number += 1
    return place


def _write(project: Project, path: Path, copy: Path, texts: dict[str, str]) -> str:
    config = project.root / "config"
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")
    partial = copy.with_name(f".{copy.name}.partial")
    try:
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, partial)
        for name in texts:
            if (config / name).exists():
                write_bytes(config / FORMER_FOLDER / stamp / name, (config / name).read_bytes())
        # Each file whole or not at all, the schema last: killed anywhere, the project loads, and `adopt` may run again.
        for name, text in texts.items():
            if name == "schema.yaml" and partial.exists():
                partial.replace(copy)
            write_bytes(config / name, text.encode())
    finally:
        partial.unlink(missing_ok=True)
    # Made from the former table; `data` makes them anew.
    shutil.rmtree(project.splits, ignore_errors=True)
    shutil.rmtree(project.rejected, ignore_errors=True)
    return stamp
