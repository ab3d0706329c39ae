"""Drift is found where it was put, and only there."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
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


def monitor(project: Project, change: Change | None = None) -> Verdict:
    return monitor_model(project, table=write_table(project, change), now=NOW)


def read_report(project: Project) -> Any:
    return json.loads((project.reports / "drift.json").read_text(encoding="utf-8"))


def set_cell(name: str, value: str, every: int) -> Change:
    return lambda place, row: row | {name: value} if place % every == 0 else row


def move_size(scale: float, shift: float) -> Change:
    return lambda _, row: row | {"size": f"{float(row['size']) * scale + shift:.6f}"}


SHIFT = move_size(0.6, 36)


def draw(rows: int, generator: np.random.Generator) -> tuple[Columns, np.ndarray]:
    """Columns and probabilities of toy rows."""
    size = generator.uniform(0, 90, rows).round(1)
    columns: Columns = {
        "size": size,
        "age": np.where(generator.random(rows) < 0.1, np.nan, generator.integers(0, 100, rows)),
        "colour": generator.choice([-1, 0, 1, 2], rows, p=[0.25, 0.4, 0.3, 0.05]),
        "striped": generator.integers(0, 2, rows).astype(float),
    }
    big = 1 / (1 + np.exp((45 - size) / 6))
    return columns, np.stack([big, 1 - big], axis=1)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (None, None),
        (SHIFT, "size"),
        (SHIFT, "predicted kind"),
        (move_size(0.4, 27), "size"),
        (lambda _, row: row | {"colour": row["colour"].replace("green", "red")}, "colour"),
        (lambda _, row: row | {"striped": "true"}, "striped"),
        (set_cell("age", "", 3), "age"),
        (set_cell("size", "99", 10), "size"),
        (set_cell("colour", "pink", 10), "broken rows"),
        (set_cell("striped", "", 10), "broken rows"),
        (set_cell("size", "150", 10), "broken rows"),
        (set_cell("age", "old", 10), "broken rows"),
    ],
)
def test_each_drift_is_found_and_where_there_is_none_none_is(watched: Project, change: Any, finding: Any) -> None:
    verdict = monitor(watched, change)
    assert verdict.exit_code == (3 if finding else 0)
    assert finding in [None, *verdict.findings]
    assert len(verdict.findings) <= (2 if finding else 0)


def shift(name: str, change: Callable[[Any], Any]) -> Callable[[Columns], Columns]:
    return lambda columns: columns | {name: change(columns[name])}


def test_what_changed_most_is_said(watched: Project) -> None:
    monitor(watched, set_cell("age", "", 3))
    (finding,) = read_report(watched)["findings"]
    assert re.fullmatch(r"PSI \d\.\d\d; missing: \d+\.\d% -> \d\d\.\d%", finding["detail"])
    assert "40 rows break the rule age: type" in monitor(watched, set_cell("age", "old", 10)).messages


def test_a_table_that_has_the_target_tells_how_good_the_model_is_there(watched: Project) -> None:
    monitor(watched, lambda place, row: row if place % 4 else row | {"kind": ""})
    performance = read_report(watched)["performance"]
    assert (performance["rows"], performance["live"]["accuracy"] > 0.7) == (300, True)
    assert performance["live"].keys() == performance["test"].keys()


def test_mistakes_are_named(watched: Project) -> None:
    table = write_table(watched, rows=49)
    mistakes: list[tuple[str, dict[str, Any]]] = [
        (r"Only 49 rows .*minimum_rows of config/monitoring.yaml is 50", {"table": table}),
        (r"No requests that v1 answered .* --table FILE", {}),
        ("does not exist", {"table": Path("nothing.csv")}),
    ]
    for message, arguments in mistakes:
        with pytest.raises(ProjectError, match=message):
            monitor_model(watched, **arguments)


def test_the_command_exits_with_3_on_drift_and_with_1_on_a_mistake(
    watched: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(watched, SHIFT)
    monkeypatch.setenv("PROJECT_ROOT", str(watched.root))
    for arguments, code in ((["--table", str(table)], 3), ([], 1)):
        monkeypatch.setattr(sys, "argv", ["monitor", "monitor", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == code
    assert "Drift: size (PSI" in capsys.readouterr().err


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
    folder = Registry(watched.models).folder("v1")
    found = reference.read_reference(folder)
    rows = {name: sum(known.counts) for name, known in found.items()}
    assert rows.pop("predicted kind") == manifest.data.rows["validation"]
    assert set(rows.values()) == {manifest.data.rows["train"]}
    table = manifest.model_copy(update={"table": change_column(manifest.table, "age", sensitive=True)})
    reference.write_reference(watched.root, table, *draw(50, np.random.default_rng(0)))
    assert reference.read_reference(watched.root).keys() == found.keys() - {"age"}


def test_the_reference_of_a_former_release_is_refused_with_what_helps(tmp_path: Path) -> None:
    write_json(tmp_path / reference.REFERENCE_FILE, {"numbers": {}, "predictions": {"counts": {"big": 4}}})
    with pytest.raises(ProjectError, match=r"by a former release .* Run `train`, `evaluate` and `promote`"):
        reference.read_reference(tmp_path)
