"""Drift is found where it was put, and only there."""

import json
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from {{ cookiecutter.__package }} import cli
from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.features import Columns
from {{ cookiecutter.__package }}.files import write_json
from {{ cookiecutter.__package }}.modeling.manifest import MANIFEST_FILE, Manifest
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.monitoring import reference
from {{ cookiecutter.__package }}.monitoring.drift import Verdict, monitor_model
from {{ cookiecutter.__package }}.schema import Schema

from .toys import TOY_HEADER, toy_rows, write_config, write_raw

NOW = datetime(2030, 1, 1, tzinfo=UTC)
Row = dict[str, str]
Change = Callable[[int, Row], Row]


@pytest.fixture
def watched(trained_toy: Project) -> Project:
    """A toy project with a version and the settings of `monitor`."""
    write_config(trained_toy.root, "monitoring", {"maximum_pictures": 0})  # drawing takes a second
    return trained_toy


@pytest.fixture
def manifest(finished_toy: Project) -> Manifest:
    return Registry(finished_toy.models).manifest("v1")


def change_manifest(project: Project, **changes: Any) -> None:
    registry = Registry(project.models)
    changed = registry.manifest("v1").model_copy(update=changes)
    write_json(registry.folder("v1") / MANIFEST_FILE, changed.model_dump(mode="json"))
    registry.move_latest("v1", "test")


def change_column(table: Schema, name: str, **changes: Any) -> Schema:
    columns = table.columns | {name: table.columns[name].model_copy(update=changes)}
    return table.model_copy(update={"columns": columns})


def fresh_rows(rows: int = 400, change: Change | None = None) -> list[Row]:
    """Toy rows that no model has seen, each changed."""
    found = [dict(zip(TOY_HEADER.split(","), line.split(","), strict=True)) for line in toy_rows(rows, seed=9)]
    return [change(place, row) for place, row in enumerate(found)] if change else found


def write_table(project: Project, change: Change | None = None, rows: int = 400) -> Path:
    return write_raw(project.root, [",".join(row.values()) for row in fresh_rows(rows, change)], name="../window.csv")


def monitor(project: Project, change: Change | None = None, hours: float = 0) -> Verdict:
    return monitor_model(project, table=write_table(project, change), now=NOW + timedelta(hours=hours))


def read_report(project: Project) -> Any:
    return json.loads((project.reports / "drift.json").read_text(encoding="utf-8"))


def set_cell(name: str, value: str, every: int) -> Change:
    return lambda place, row: row | {name: value} if place % every == 0 else row


def move_size(scale: float, shift: float) -> Change:
    return lambda _, row: row | {"size": f"{float(row['size']) * scale + shift:.6f}"}


SHIFT = move_size(0.6, 36)
SIZE = "size: distribution"


def draw(rows: int, generator: np.random.Generator) -> tuple[Columns, np.ndarray, np.ndarray]:
    """Columns, probabilities and truth of toy rows."""
    size = generator.uniform(0, 90, rows).round(1)
    columns: Columns = {
        "size": size,
        "age": np.where(generator.random(rows) < 0.1, np.nan, generator.integers(0, 100, rows)),
        "colour": generator.choice([-1, 0, 1, 2], rows, p=[0.25, 0.4, 0.3, 0.05]),
        "striped": generator.integers(0, 2, rows).astype(float),
    }
    big = 1 / (1 + np.exp((45 - size) / 6))
    return columns, np.stack([big, 1 - big], axis=1), (generator.random(rows) > big).astype(float)


@pytest.mark.parametrize(
    ("change", "finding", "most"),
    [
        (None, None, 0),
        (SHIFT, SIZE, 9),
        (SHIFT, "prediction: distribution", 9),
        (move_size(0.4, 27), SIZE, 9),
        (lambda _, row: row | {"colour": row["colour"].replace("green", "red")}, "colour: distribution", 9),
        (lambda _, row: row | {"striped": "true"}, "striped: distribution", 9),
        (set_cell("colour", "pink", 10), "colour: unseen category", 1),
        (set_cell("age", "", 3), "age: missing", 9),
        (set_cell("striped", "", 10), "striped: missing", 1),
        (set_cell("size", "150", 10), "size: out of range", 9),
        (set_cell("age", "115", 10), "age: out of range", 9),
        (set_cell("age", "old", 10), "age: unreadable", 9),
        (set_cell("kind", "big", 2), "performance: more errors", 1),
    ],
)
def test_each_kind_of_drift_alarms_and_nothing_else(watched: Project, change: Any, finding: Any, most: int) -> None:
    verdict = monitor(watched, change)
    assert verdict.exit_code == (3 if finding else 0)
    assert finding in [None, *verdict.findings]
    assert len(verdict.findings) <= most


def shift(name: str, change: Callable[[Any], Any]) -> Callable[[Columns], Columns]:
    return lambda columns: columns | {name: change(columns[name])}


def test_an_alarm_is_not_repeated_until_it_has_cooled_down_but_another_one_is_given(watched: Project) -> None:
    assert monitor(watched, SHIFT).exit_code == 3
    again = monitor(watched, SHIFT, hours=23)
    assert (again.exit_code, again.findings[0]) == (0, SIZE)
    assert "quiet until 2030-01-02T00:00" in again.messages[-1]
    assert monitor(watched, set_cell("colour", "pink", 10), hours=1).exit_code == 3
    assert monitor(watched, SHIFT, hours=25).exit_code == 3


def test_labels_are_joined_by_identifier(watched: Project, manifest: Manifest) -> None:
    change_manifest(watched, table=change_column(manifest.table, "note", role="identifier"))
    table = write_table(watched)
    labels = write_raw(watched.root, [f"{row['note']},{row['kind']}" for row in fresh_rows(300)], "x.csv", "note,kind")
    monitor_model(watched, table=table, labels=labels)
    performance = read_report(watched)["performance"]
    assert (performance["rows"], performance["live"]["accuracy"] > 0.7) == (300, True)
    for lines, message in (
        (["line 1,big", "line 1,small"], "names the row line 1 more than once"),
        (["line 1,big"], r"labels for only 1 of the 400 rows, minimum_rows .* is 50"),
    ):
        with pytest.raises(ProjectError, match=message):
            monitor_model(watched, table=table, labels=write_raw(watched.root, lines, "x.csv", "note,kind"))


def test_mistakes_are_named(watched: Project) -> None:
    table = write_table(watched, rows=49)
    mistakes: list[tuple[str, dict[str, Any]]] = [
        (r"Only 49 rows .*minimum_rows of config/monitoring.yaml is 50", {"table": table}),
        (r"No requests that v1 answered .* --table FILE", {}),
        ("no column with role identifier", {"table": table, "labels": table}),
        ("does not exist", {"table": Path("nothing.csv")}),
        ("all its rows are taken", {"table": table, "window": "7d"}),
        ("not both", {"since": "2026-01-01", "window": "7d"}),
        ("--since yesterday is no date", {"since": "yesterday"}),
        ("--window 7 days is no length", {"window": "7 days"}),
    ]
    for message, arguments in mistakes:
        with pytest.raises(ProjectError, match=message):
            monitor_model(watched, **arguments)
    (watched.models / "drift_alarms.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"drift_alarms\.json is damaged"):
        monitor(watched)


def test_the_command_exits_with_3_on_drift_and_with_1_on_a_mistake(
    watched: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(watched, SHIFT)
    monkeypatch.setenv("PROJECT_ROOT", str(watched.root))
    for arguments, code in ((["--table", str(table)], 3), (["--table", str(table)], 0), ([], 1)):
        monkeypatch.setattr(sys, "argv", ["monitor", "monitor", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == code
    assert "Drift: size: distribution" in capsys.readouterr().err


def test_without_a_reference_or_a_model_the_message_says_what_to_run(watched: Project, manifest: Manifest) -> None:
    (Registry(watched.models).folder("v1") / reference.REFERENCE_FILE).unlink()
    with pytest.raises(ProjectError, match=r"reference\.json is missing"):
        monitor(watched)
    files = {name: record for name, record in manifest.files.items() if name != reference.REFERENCE_FILE}
    change_manifest(watched, files=files)
    with pytest.raises(ProjectError, match=r"v1 has no reference\.json .* `promote --force --reason"):
        monitor(watched)
    shutil.rmtree(watched.models)
    with pytest.raises(ProjectError, match="run the `pipeline` command first"):
        monitor(watched)


def test_the_reference_counts_the_training_rows_but_nothing_sensitive(watched: Project, manifest: Manifest) -> None:
    found = reference.read_reference(Registry(watched.models).folder("v1"))
    for column in (*found.numbers.values(), *found.categories.values()):
        assert column.pair("", np.array([])).reference.sum() + column.missing == manifest.data.rows["train"]
    table, rows = change_column(manifest.table, "age", sensitive=True), draw(50, np.random.default_rng(0))
    written = reference.describe_reference(table, manifest.labels, *rows).model_dump_json()
    assert [name for name in ("size", "age") if name in written] == ["size"]
