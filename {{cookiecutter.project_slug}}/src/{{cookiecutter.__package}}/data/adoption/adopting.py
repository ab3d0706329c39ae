"""The command `adopt`: look at a table, decide, write it all once nothing stands against it, and tell."""

import json
import math
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import escape
from itertools import combinations
from pathlib import Path

import polars as pl
from rich.console import Console

from ...config import DerivedFeature, PipelineSettings, Project, SourceSettings, SplitSettings, ValidationSettings
from ...files import hash_file, write_bytes
from ...schema import Column, Schema
from ...terminal import make_table, print_table
from ..exploration import find_leaks, measure_associations
from ..loading import ROW_NUMBER, explain_polars_errors, scan_table
from ..validation import check_rows
from .configuration import write_model, write_pipeline, write_schema
from .dialect import SEPARATORS, read_dialect
from .inference import Decision, Wishes, check_wishes, decide_columns
from .survey import Survey, survey_table

_REJECTED_SHARE = 0.05
_FEW_DUPLICATES = 0.02
_ENOUGH_TEST_ROWS, _LEAST_TEST = 5000, 0.05
_FEW_FEATURE_ROWS = 200
_MOST_DERIVED = 3
_MOST_SHOWN = 300


@dataclass(frozen=True)
class Adoption:
    """What was decided about a table, and where things went."""

    table: Path
    rows: int
    schema: Schema
    source: SourceSettings
    decisions: list[Decision]
    notes: list[str]


def adopt_table(
    project: Project, path: Path, wishes: Wishes, given: SourceSettings, latest: str | None = None
) -> Adoption:
    """Make `path` the project's table: infer the schema, copy the file, write the settings.

    `given` has what the user says of the file, `latest` is the version in production, which the table's first model
    cannot be compared with. Raises ProjectError where the table cannot be used; nothing was written then.
    """
    source, header = read_dialect(path, given)
    with explain_polars_errors(path):
        found = [name for name in scan_table(path, source).collect_schema().names() if name != ROW_NUMBER]
        check_wishes(wishes, found, header)
        survey = survey_table(path, [name for name in found if name not in wishes.columns.get("--drop", ())], source)
    schema, decisions = decide_columns(survey, wishes, found)
    words = ", ".join(map(repr, survey.source.null_values[len(given.null_values) :]))
    notes = [f"These words count as missing: {words}."] * bool(words)
    copy = _find_place(project, path)
    source = survey.source.model_copy(update={"files": escape(copy.relative_to(project.raw).as_posix())})
    known = {name: column for name, column in schema.columns.items() if column.role == "feature" or name == wishes.time}
    checked = check_rows(survey.sample.lazy(), known, source, [wishes.target])
    rows = checked.frame.select(*checked.typed(), checked.is_valid.alias(ROW_NUMBER)).collect()
    settings = PipelineSettings(
        source=source,
        validation=_suggest_validation(survey, rows[ROW_NUMBER], notes),
        split=_suggest_split(project.pipeline.split, survey, schema, wishes.time, notes),
        paths=project.pipeline.paths,
    )
    derived = _suggest_derived(rows, schema, notes)
    rarest = min(survey.columns[wishes.target].values.values()) if len(schema.labels) == 2 else 0
    record = {"table": copy.name, "sha256": hash_file(path), "supersedes": latest}
    texts = {
        "model.yaml": write_model(schema, survey.rows, derived, rarest / survey.columns[wishes.target].present),
        "pipeline.yaml": write_pipeline(settings),
        "adopted.json": json.dumps(record, indent=2) + "\n",
        "schema.yaml": write_schema(schema, {d.name: d.why for d in decisions if d.column is None}, path.name),
    }
    notes += [f"Warning: {problem}" for problem in _find_leaks(rows, schema)]
    notes.append(f"Former settings: config/previous/{_write(project, path, copy, texts)}")
    return Adoption(copy, survey.rows, schema, source, decisions, notes)


def print_adoption(adoption: Adoption) -> None:
    """Print the columns, what was noticed, and what to run next."""
    table, source = make_table("column", "use", "encoding", "values", "why"), adoption.source
    for decision in adoption.decisions[:_MOST_SHOWN]:
        table.add_row(decision.name, decision.use, *_describe_column(decision.column), decision.why)
    print_table(table)
    written = f"{SEPARATORS.get(source.separator, repr(source.separator))}-separated, {source.encoding}"
    written += ", decimal comma" * source.decimal_comma
    written = "Parquet" if adoption.table.suffix.lower() == ".parquet" else written
    more = len(adoption.decisions) - _MOST_SHOWN
    lines = [
        *[f"And {more} more columns: config/schema.yaml has them all."] * (more > 0),
        f"{adoption.schema.task} of {adoption.schema.target!r}, {adoption.rows} rows of {adoption.table.name} "
        f"in data/raw ({written})",
        *adoption.notes,
        "Edit the files in config/ where you know better, then run `make pipeline`.",
    ]
    Console(highlight=False, markup=False).print(*lines, sep="\n", soft_wrap=True)


def _describe_column(column: Column | None) -> tuple[str, str]:
    """How a column is encoded, in a word, and its values."""
    if column is None or column.role != "feature":
        return "", ""
    if column.categories:
        words = [category[:20] for category in column.categories[:4]]
        more = len(column.categories) - len(words)
        return "category", ", ".join(words) + f" and {more} more" * (more > 0)
    has_limits = column.minimum is not None and column.maximum is not None
    values = f"{column.minimum:.10g} to {column.maximum:.10g}" if has_limits else ""
    encodings = {"integer": "number", "boolean": "yes or no", "category": "open category"}
    return encodings.get(column.type, column.type), values


def _suggest_split(
    former: SplitSettings, survey: Survey, schema: Schema, time: str | None, notes: list[str]
) -> SplitSettings:
    # Beyond some thousand test rows, each is worth more in training; what another table had says nothing of this one.
    test = min(SplitSettings().test, max(_LEAST_TEST, round(_ENOUGH_TEST_ROWS / survey.rows, 2)))
    split = SplitSettings(test=test, seed=former.seed, time_column=time)
    if time is not None:
        notes.append(
            f"Split by {time}: the latest {test:.0%} of the rows test, the {split.validation:.0%} before "
            "validate; newer rows move the cut-offs."
        )
        return split
    for name in schema.groups:
        facts = survey.columns[name]
        notes.append(
            f"{1 - facts.single / facts.present:.0%} of the rows share their {name} with another ({facts.different} "
            f"values, {facts.rows_each:.1f} rows each), so rows of one {name} stay in one split. If it is rather a "
            f"property that new rows share, adopt again with --category {json.dumps(name, ensure_ascii=False)}."
        )
    different = survey.sample.select(list(schema.features)).n_unique()
    if not schema.identifiers and not schema.groups and different < min(_FEW_FEATURE_ROWS, survey.sample.height / 2):
        notes.append(f"Only {different} rows differ in their features, so those alike may be split (split.group_by).")
        return split.model_copy(update={"group_by": "row"})
    return split


def _suggest_derived(rows: pl.DataFrame, schema: Schema, notes: list[str]) -> list[DerivedFeature]:
    times = [name for name, column in schema.features.items() if column.type == "timestamp"]
    # In the order in which they mostly happen.
    times = sorted(times[:_MOST_DERIVED], key=lambda name: rows[name].dt.timestamp().median() or 0)
    derived = [
        DerivedFeature(name=f"days_from_{first}_to_{last}", operation="difference", columns=(last, first))
        for first, last in combinations(times, 2)
        if (rows[last] - rows[first]).dt.total_days().n_unique() > 2
    ]
    notes += [f"Derived features (config/model.yaml): {', '.join(made.name for made in derived)}."] * bool(derived)
    return derived


def _suggest_validation(survey: Survey, is_valid: pl.Series, notes: list[str]) -> ValidationSettings:
    lost = survey.blank + int((~is_valid).sum()) * survey.rows / max(1, len(is_valid))
    keeps = survey.repeated > _FEW_DUPLICATES * survey.rows
    if keeps:
        share = f"{survey.repeated / survey.rows:.0%}"
        notes.append(f"About {share} of the rows repeat another; they are kept (validation.duplicates).")
    share_lost, limit = (lost + survey.repeated * (not keeps)) / (survey.rows + survey.blank), _REJECTED_SHARE
    if share_lost > _REJECTED_SHARE / 2:
        limit = min(math.ceil((share_lost + _REJECTED_SHARE) * 100) / 100, 1.0)
        notes.append(
            f"About {share_lost:.1%} of the rows will be rejected, so validation.maximum_rejected_share is {limit:g}."
        )
    return ValidationSettings(maximum_rejected_share=limit, duplicates="keep" if keeps else "reject")


def _find_leaks(rows: pl.DataFrame, schema: Schema) -> list[str]:
    leaks = find_leaks(measure_associations(rows.select(list(schema.features)), rows[schema.target]))
    return [
        f"{name!r} alone tells {schema.target} {leak}. If it is known only afterwards, adopt again with "
        f"--drop {json.dumps(name, ensure_ascii=False)}."
        for name, leak in leaks.items()
    ]


def _find_place(project: Project, path: Path) -> Path:
    folder, number = project.raw, 2
    if path.resolve().is_relative_to(folder.resolve()):
        return folder / path.resolve().relative_to(folder.resolve())
    place = folder / path.name
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
