"""The command `adopt`: look at a table, decide, write it all once nothing stands against it, and tell."""

import json
import math
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import escape
from itertools import count
from pathlib import Path

from rich.console import Console

from ...config import PipelineSettings, Project, SplitSettings, ValidationSettings
from ...files import hash_file, write_bytes
from ...schema import Schema
from ...terminal import make_table, print_table
from ..exploration import describe_columns, find_suspicious
from ..loading import ROW_NUMBER, explain_polars_errors, scan_table
from ..validation import check_rows
from .configuration import suggest_model, write_settings
from .dialect import read_dialect
from .inference import Decision, Wishes, check_wishes, decide_columns
from .survey import Survey, survey_table

_ENOUGH_TEST_ROWS, _LEAST_TEST = 5000, 0.05


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
    checked = check_rows(survey.sample.lazy(), known, source, [wishes.target])
    rows = checked.frame.with_columns(*checked.typed(), checked.is_valid.alias(ROW_NUMBER)).collect()
    notes = find_suspicious(describe_columns(schema, rows))
    # Beyond some thousand test rows, each is worth more in training.
    test = min(SplitSettings().test, max(_LEAST_TEST, round(_ENOUGH_TEST_ROWS / survey.rows, 2)))
    settings = PipelineSettings(
        source=source.model_copy(update={"files": escape(copy.relative_to(project.raw).as_posix())}),
        validation=_suggest_validation(survey, int((~rows[ROW_NUMBER]).sum()) / max(1, len(rows)), notes),
        split=SplitSettings(test=test, seed=project.pipeline.split.seed, time_column=wishes.time),
    )
    record = {"table": copy.name, "sha256": hash_file(path), "supersedes": latest}
    texts = {
        "model.yaml": write_settings("What is trained: docs/guides/models.md", suggest_model(schema, survey.rows)),
        "pipeline.yaml": write_settings("From raw files to the three splits: docs/guides/data.md", settings),
        "adopted.json": json.dumps(record, indent=2) + "\n",
        "schema.yaml": write_settings(f"Inferred from {path.name}; yours to edit: docs/guides/data.md", schema, True),
    }
    _write(project, path, copy, texts)
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
        "Edit config/ where you know better (its former files: config/previous), then run `make pipeline`.",
        sep="\n",
        soft_wrap=True,
    )


def _suggest_validation(survey: Survey, invalid: float, notes: list[str]) -> ValidationSettings:
    share = (survey.blank + invalid * survey.rows) / (survey.rows + survey.blank)
    limit = ValidationSettings().maximum_rejected_share
    if share > limit / 2:
        limit = min(math.ceil((share + limit) * 100) / 100, 1.0)
        notes.append(f"About {share:.1%} of the rows will be rejected; validation.maximum_rejected_share is {limit:g}.")
    # Rows that repeat another have its features, so that they are in one split with it.
    return ValidationSettings(maximum_rejected_share=limit, duplicates="keep")


def _find_place(project: Project, path: Path) -> Path:
    if path.resolve().is_relative_to(project.raw.resolve()):
        return project.raw / path.resolve().relative_to(project.raw.resolve())
    names = (f"{path.stem}-{number}{path.suffix}" if number > 1 else path.name for number in count(1))
    places = (project.raw / name for name in names)
    return next(place for place in places if not place.exists() or hash_file(place) == hash_file(path))


def _write(project: Project, path: Path, copy: Path, texts: dict[str, str]) -> None:
    config = project.root / "config"
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")
    if not copy.exists():
        partial = copy.with_name(f".{copy.name}.partial")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, partial)
        partial.replace(copy)
    for name in texts:
        if (config / name).exists():
            write_bytes(config / "previous" / stamp / name, (config / name).read_bytes())
    # Each file whole or not at all, the schema last: killed anywhere, the project loads, and `adopt` may run again.
    for name, text in texts.items():
        write_bytes(config / name, text.encode())
    # Made from the former table; `data` makes them anew.
    shutil.rmtree(project.splits, ignore_errors=True)
    shutil.rmtree(project.rejected, ignore_errors=True)
