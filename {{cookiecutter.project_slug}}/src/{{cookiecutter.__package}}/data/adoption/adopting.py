"""The command `adopt`: look at a table, decide, write it all once nothing stands against it, and tell."""

import json
import math
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import escape
from itertools import combinations, count
from pathlib import Path

import polars as pl
from rich.console import Console

from ...config import DerivedFeature, PipelineSettings, Project, SplitSettings, ValidationSettings
from ...files import hash_file, write_bytes
from ...schema import Schema
from ...terminal import make_table, print_table
from ..exploration import find_leaks, measure_associations
from ..loading import ROW_NUMBER, explain_polars_errors, scan_table
from ..validation import check_rows
from .configuration import write_model, write_pipeline, write_schema
from .dialect import read_dialect
from .inference import Decision, Wishes, check_wishes, decide_columns
from .survey import Survey, survey_table

_REJECTED_SHARE = 0.05
_ENOUGH_TEST_ROWS, _LEAST_TEST = 5000, 0.05
_FEW_FEATURE_ROWS = 200
_MOST_DERIVED = 3


@dataclass(frozen=True)
class Adoption:
    """What was decided about a table, and where things went."""

    table: Path
    rows: int
    schema: Schema
    decisions: list[Decision]
    notes: list[str]


def adopt_table(project: Project, path: Path, wishes: Wishes, latest: str | None = None) -> Adoption:
    """Make `path` the project's table: infer the schema, copy the file, write the settings.

    `latest` is the version in production, which the table's first model cannot be compared with. Raises ProjectError
    where the table cannot be used; nothing was written then.
    """
    source, header = read_dialect(path, wishes.encoding)
    with explain_polars_errors(path):
        found = [name for name in scan_table(path, source).collect_schema().names() if name != ROW_NUMBER]
        check_wishes(wishes, found, header)
        survey = survey_table(path, [name for name in found if name not in wishes.drop], source)
    schema, decisions = decide_columns(survey, wishes, found)
    copy = _find_place(project, path)
    known = {name: column for name, column in schema.columns.items() if column.role == "feature" or name == wishes.time}
    checked = check_rows(survey.sample.lazy(), known, survey.source, [wishes.target])
    rows = checked.frame.select(*checked.typed(), checked.is_valid.alias(ROW_NUMBER)).collect()
    words = ", ".join(map(repr, survey.source.null_values[len(source.null_values) :]))
    notes = [f"These words count as missing: {words}."] * bool(words)
    settings = PipelineSettings(
        source=survey.source.model_copy(update={"files": escape(copy.relative_to(project.raw).as_posix())}),
        validation=_suggest_validation(survey, int((~rows[ROW_NUMBER]).sum()) / max(1, len(rows)), notes),
        split=_suggest_split(project.pipeline.split.seed, survey, schema, wishes.time, notes),
    )
    record = {"table": copy.name, "sha256": hash_file(path), "supersedes": latest}
    texts = {
        "model.yaml": write_model(schema, survey.rows, _suggest_derived(rows, schema)),
        "pipeline.yaml": write_pipeline(settings),
        "adopted.json": json.dumps(record, indent=2) + "\n",
        "schema.yaml": write_schema(schema, path.name),
    }
    notes += _find_leaks(rows, schema)
    notes.append(f"Former settings: config/previous/{_write(project, path, copy, texts)}")
    return Adoption(copy, survey.rows, schema, decisions, notes)


def print_adoption(adoption: Adoption) -> None:
    """Print the columns, what was noticed, and what to run next."""
    table, features = make_table("column", "use", "type", "why"), adoption.schema.features
    for decision in adoption.decisions:
        kind = features[decision.name].type if decision.name in features else ""
        table.add_row(decision.name, decision.use, kind, decision.why)
    print_table(table)
    Console(highlight=False, markup=False).print(
        f"{adoption.schema.task} of {adoption.schema.target!r}, {adoption.rows} rows of {adoption.table.name}",
        *adoption.notes,
        "Edit the files in config/ where you know better, then run `make pipeline`.",
        sep="\n",
        soft_wrap=True,
    )


def _suggest_split(seed: int, survey: Survey, schema: Schema, time: str | None, notes: list[str]) -> SplitSettings:
    # Beyond some thousand test rows, each is worth more in training.
    test = min(SplitSettings().test, max(_LEAST_TEST, round(_ENOUGH_TEST_ROWS / survey.rows, 2)))
    notes += [
        f"Rows of one {name} stay in one split ({survey.columns[name].rows_each:.1f} rows each). If it is rather "
        "a property that new rows share, replace its type and role by `type: category` in config/schema.yaml."
        for name in schema.groups
    ]
    different = survey.sample.select(list(schema.features)).n_unique()
    by_row = not time and not schema.groups and different < min(_FEW_FEATURE_ROWS, survey.sample.height / 2)
    if by_row:
        notes.append(f"Only {different} rows differ in their features, so those alike may be split (split.group_by).")
    return SplitSettings(test=test, seed=seed, time_column=time, group_by="row" if by_row else "features")


def _suggest_derived(rows: pl.DataFrame, schema: Schema) -> list[DerivedFeature]:
    times = [name for name, column in schema.features.items() if column.type == "timestamp"]
    # In the order in which they mostly happen.
    times = sorted(times[:_MOST_DERIVED], key=lambda name: rows[name].dt.timestamp().median() or 0)
    return [
        DerivedFeature(name=f"days_from_{first}_to_{last}", operation="difference", columns=(last, first))
        for first, last in combinations(times, 2)
        if (rows[last] - rows[first]).dt.total_days().n_unique() > 2
    ]


def _suggest_validation(survey: Survey, invalid: float, notes: list[str]) -> ValidationSettings:
    share, limit = (survey.blank + invalid * survey.rows) / (survey.rows + survey.blank), _REJECTED_SHARE
    if share > limit / 2:
        limit = min(math.ceil((share + limit) * 100) / 100, 1.0)
        notes.append(f"About {share:.1%} of the rows will be rejected; validation.maximum_rejected_share is {limit:g}.")
    # Rows that repeat another have its features, so that they are in one split with it.
    return ValidationSettings(maximum_rejected_share=limit, duplicates="keep")


def _find_leaks(rows: pl.DataFrame, schema: Schema) -> list[str]:
    leaks = find_leaks(measure_associations(rows.select(list(schema.features)), rows[schema.target]))
    return [
        f"Warning: {name!r} alone tells {schema.target} {leak}. If it is known only afterwards, adopt again with "
        f"--drop {json.dumps(name, ensure_ascii=False)}."
        for name, leak in leaks.items()
    ]


def _find_place(project: Project, path: Path) -> Path:
    if path.resolve().is_relative_to(project.raw.resolve()):
        return project.raw / path.resolve().relative_to(project.raw.resolve())
    names = (f"{path.stem}-{number}{path.suffix}" if number > 1 else path.name for number in count(1))
    places = (project.raw / name for name in names)
    return next(place for place in places if not place.exists() or hash_file(place) == hash_file(path))


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
                write_bytes(config / "previous" / stamp / name, (config / name).read_bytes())
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
