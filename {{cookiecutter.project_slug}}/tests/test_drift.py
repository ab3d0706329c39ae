"""Drift is found where it was put, and only there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.features import Columns
from {{ cookiecutter.__package }}.modeling.pipeline import run_pipeline
from {{ cookiecutter.__package }}.modeling.prediction import load_latest
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.monitoring import statistics
from {{ cookiecutter.__package }}.monitoring.comparison import compare
from {{ cookiecutter.__package }}.monitoring.drift import Period, Verdict, monitor_model
from {{ cookiecutter.__package }}.monitoring.reference import (
    REFERENCE_FILE,
    count_numbers,
    describe_reference,
    read_reference,
    round_scores,
)
from {{ cookiecutter.__package }}.monitoring.settings import MonitoringSettings
from {{ cookiecutter.__package }}.monitoring.window import Truth, Window

from .toys import TOY_HEADER, TOY_SCHEMA, change_config, read_files, toy_rows, write_config, write_raw

PNG = b"\x89PNG"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
NAMES = TOY_HEADER.split(",")
UNDRAWN = {"maximum_pictures": 0}
"""Pictures take a second, and most of these tests look at none."""

Row = dict[str, str]
Change = Callable[[int, Row], Row]


@pytest.fixture
def watched(trained_toy: Project) -> Project:
    """A toy project with a version and the settings of `monitor`."""
    write_config(trained_toy.root, "monitoring", UNDRAWN)
    return trained_toy


def write_rows(project: Project, change: Change | None = None, rows: int = 400, seed: int = 9) -> Path:
    """A table of fresh toy rows, each changed."""
    lines = []
    for place, line in enumerate(toy_rows(rows, seed)):
        row = dict(zip(NAMES, line.split(","), strict=True))
        lines.append(",".join((change(place, row) if change else row).values()))
    return write_raw(project.root, lines, name="../window.csv")


def monitor(project: Project, change: Change | None = None, hours: float = 0) -> Verdict:
    return monitor_model(project, table=write_rows(project, change), now=NOW + timedelta(hours=hours))


def draw_toys(rows: int, generator: np.random.Generator) -> tuple[Columns, np.ndarray, np.ndarray]:
    """Columns, probabilities and truth of toy rows."""
    size = generator.uniform(0, 90, rows).round(1)
    age = np.where(generator.random(rows) < 0.1, np.nan, generator.integers(0, 100, rows))
    shares = [0.25, 0.4, 0.3, 0.05]
    columns: Columns = {
        "size": size,
        "age": age,
        "colour": generator.choice([-1, 0, 1, 2], rows, p=shares),
        "striped": generator.integers(0, 2, rows).astype(float),
    }
    big = 1 / (1 + np.exp((45 - size) / 6))
    truth = (generator.random(rows) > big).astype(int)
    return columns, np.stack([big, 1 - big], axis=1), truth


@pytest.mark.parametrize(("rate", "runs", "training", "window"), [(0.2, 200, 300, 100), (0.05, 200, 80, 900)])
def test_fresh_rows_alarm_no_more_often_than_stated(
    watched: Project, rate: float, runs: int, training: int, window: int
) -> None:
    manifest = load_latest(watched).manifest
    # Without the least effects, so that the tests and their correction alone keep the rate.
    settings = MonitoringSettings(false_alarm_rate=rate, minimum_psi=0, minimum_share=0)
    generator = np.random.default_rng(4)
    alarms = 0
    for _ in range(runs):
        columns = draw_toys(training, generator)[0]
        reference = describe_reference(manifest.table, manifest.labels, columns, *draw_toys(training, generator)[1:])
        found, scores, truth = draw_toys(window, generator)
        rows = Window("test", window, found, scores, {}, Truth(np.arange(window), truth))
        alarms += bool(compare(reference, manifest, rows, settings).findings)
    assert alarms <= stats.binom.ppf(0.999, runs, rate)
    assert alarms > 0


def test_without_the_correction_the_rate_would_not_hold(monkeypatch: pytest.MonkeyPatch, watched: Project) -> None:
    monkeypatch.setattr(statistics, "adjust", list)
    with pytest.raises(AssertionError):
        test_fresh_rows_alarm_no_more_often_than_stated(watched, 0.2, 60, 300, 100)


def test_fresh_rows_do_not_alarm(watched: Project) -> None:
    verdict = monitor(watched)
    assert (verdict.exit_code, verdict.findings) == (0, ())
    assert "No drift" in verdict.messages[-1]


def set_cell(name: str, value: str, every: int) -> Change:
    return lambda place, row: row | {name: value} if place % every == 0 else row


def move_size(scale: float, shift: float) -> Change:
    return lambda _, row: row | {"size": f"{float(row['size']) * scale + shift:.6f}"}


def flip_label(place: int, row: Row) -> Row:
    other = {"big": "small", "small": "big"}[row["kind"]]
    return row | {"kind": other} if place % 3 == 0 else row


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (move_size(0.6, 36), "size: distribution"),
        (move_size(0.4, 27), "size: distribution"),
        (lambda _, row: row | {"colour": row["colour"].replace("green", "red")}, "colour: distribution"),
        (lambda _, row: row | {"striped": "true"}, "striped: distribution"),
        (set_cell("colour", "pink", 10), "colour: unseen category"),
        (set_cell("age", "", 3), "age: missing"),
        (set_cell("striped", "", 10), "striped: missing"),
        (set_cell("size", "150", 10), "size: out of range"),
        (set_cell("age", "115", 10), "age: out of range"),
        (set_cell("age", "old", 10), "age: unreadable"),
        (move_size(0.6, 36), "prediction: distribution"),
        (flip_label, "performance: more errors"),
    ],
)
def test_each_kind_of_drift_alarms(watched: Project, change: Change, finding: str) -> None:
    verdict = monitor(watched, change)
    assert verdict.exit_code == 3
    assert finding in verdict.findings


@pytest.mark.parametrize("change", [set_cell("colour", "pink", 10), set_cell("striped", "", 10), flip_label])
def test_what_did_not_change_is_no_finding(watched: Project, change: Change) -> None:
    assert len(monitor(watched, change).findings) == 1


def test_a_category_that_training_never_saw_alarms(toy: Project) -> None:
    write_config(toy.root, "monitoring", UNDRAWN)
    write_raw(toy.root, [line for line in toy_rows(600) if ",blue," not in line])
    run_pipeline(toy)
    assert "colour: unseen category" in monitor(toy).findings


def test_larger_errors_of_a_regression_alarm(watched: Project) -> None:
    manifest = load_latest(watched).manifest
    numbers = {name: column for name, column in manifest.table.columns.items() if name != "kind"}
    table = manifest.table.model_copy(update={"task": "regression", "target": "size", "columns": numbers})
    regression = manifest.model_copy(update={"labels": (), "table": table})
    generator = np.random.default_rng(1)
    columns = draw_toys(300, generator)[0]
    truth = generator.normal(50, 9, 300)
    reference = describe_reference(table, (), columns, truth + generator.normal(0, 1, 300), truth)
    for spread, findings in ((1, []), (2, ["performance: larger errors"])):
        scores = truth + generator.normal(0, spread, 300)
        window = Window("test", 300, draw_toys(300, generator)[0], scores, {}, Truth(np.arange(300), truth))
        comparison = compare(reference, regression, window, MonitoringSettings())
        assert [check.finding for check in comparison.findings] == findings


def test_a_small_change_is_no_drift_however_many_rows_show_it(watched: Project) -> None:
    manifest = load_latest(watched).manifest
    generator = np.random.default_rng(2)
    columns, scores, truth = draw_toys(50_000, generator)
    reference = describe_reference(manifest.table, manifest.labels, columns, scores, truth)
    moved = replace(Window("test", 50_000, columns, None), columns=columns | {"size": columns["size"] * 0.97})
    checks = {check.finding: check for check in compare(reference, manifest, moved, MonitoringSettings()).checks}
    assert checks["size: distribution"].adjusted_p_value < 1e-6
    assert not checks["size: distribution"].is_drift


def test_rows_that_data_rejected_before_are_no_drift(toy: Project) -> None:
    write_config(toy.root, "monitoring", UNDRAWN)
    change_config(toy, "pipeline", validation={"maximum_rejected_share": 0.2})
    bad = set_cell("size", "150", 10)
    lines = [bad(place, dict(zip(NAMES, line.split(","), strict=True))) for place, line in enumerate(toy_rows(400))]
    write_raw(toy.root, [",".join(row.values()) for row in lines])
    run_pipeline(Project(toy.root))
    assert monitor(toy, bad).findings == ()


def test_the_report_has_a_table_and_pictures(watched: Project) -> None:
    write_config(watched.root, "monitoring", {})
    verdict = monitor(watched, move_size(0.6, 36))
    report = json.loads((watched.reports / "drift.json").read_text(encoding="utf-8"))
    assert report["drift"] is True
    assert report["rows"] == 400
    assert {finding["subject"] for finding in report["findings"]} >= {"size", "prediction"}
    assert report["performance"]["live"].keys() == report["performance"]["test"].keys()
    table = pl.read_csv(watched.reports / "tables" / "drift.csv")
    assert table.height == verdict.checks.height
    folder = watched.reports / "figures" / "drift"
    for name in ["stability.png", *report["pictures"].values()]:
        assert (folder / name).read_bytes().startswith(PNG)


@pytest.mark.parametrize("most", [0, 2])
def test_no_more_pictures_are_drawn_than_wanted(watched: Project, most: int) -> None:
    write_config(watched.root, "monitoring", {"maximum_pictures": most})
    monitor(watched)
    pictures = json.loads((watched.reports / "drift.json").read_text(encoding="utf-8"))["pictures"]
    assert len(pictures) == most
    assert len(list((watched.reports / "figures" / "drift").iterdir())) == (most + 1 if most else 0)


def test_an_alarm_is_not_repeated_until_it_has_cooled_down(watched: Project) -> None:
    shifted = move_size(0.6, 36)
    assert monitor(watched, shifted).exit_code == 3
    again = monitor(watched, shifted, hours=23)
    assert again.exit_code == 0
    assert again.findings
    assert "quiet until 2030-01-02T00:00" in again.messages[-1]
    assert monitor(watched, shifted, hours=25).exit_code == 3


def test_another_finding_alarms_at_once(watched: Project) -> None:
    assert monitor(watched, set_cell("age", "", 3)).exit_code == 3
    assert monitor(watched, set_cell("colour", "pink", 10), hours=1).exit_code == 3


def test_a_new_version_that_did_not_help_gets_a_cooldown_of_its_own(watched: Project) -> None:
    shifted = move_size(0.6, 36)
    registry = Registry(watched.models)
    promoted_at = datetime.fromisoformat(str(registry.manifest("v1").created_at))
    table = write_rows(watched, shifted)

    def hours_later(hours: float) -> int:
        return monitor_model(watched, table=table, now=promoted_at + timedelta(hours=hours)).exit_code

    assert hours_later(-20) == 3
    assert hours_later(5) == 0
    assert hours_later(23) == 0
    assert hours_later(25) == 3


def test_labels_are_joined_by_identifier(toy: Project) -> None:
    columns = TOY_SCHEMA["columns"] | {"note": {"type": "category", "categories": ["x"], "role": "identifier"}}
    change_config(toy, "schema", columns=columns)
    write_config(toy.root, "monitoring", UNDRAWN)
    run_pipeline(Project(toy.root))
    project = Project(toy.root)
    table = write_rows(project)
    rows = [dict(zip(NAMES, line.split(","), strict=True)) for line in toy_rows(400, 9)]
    labels = project.root / "labels.csv"
    known = [(row["note"], row["kind"]) for row in rows[:300]]
    labels.write_text("note,kind\n" + "\n".join(",".join(pair) for pair in known), encoding="utf-8")
    report = monitor_and_read(project, table, labels)
    assert report["performance"]["rows"] == 300
    assert report["performance"]["live"]["accuracy"] > 0.7
    labels.write_text("note,kind\nline 1,big\nline 1,small\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="names the row line 1 more than once"):
        monitor_model(project, table=table, labels=labels)
    labels.write_text("note,kind\nline 1,big\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"labels for only 1 of the 400 rows, minimum_rows .* is 50"):
        monitor_model(project, table=table, labels=labels)


def monitor_and_read(project: Project, table: Path, labels: Path) -> dict[str, Any]:
    monitor_model(project, table=table, labels=labels)
    report: dict[str, Any] = json.loads((project.reports / "drift.json").read_text("utf-8"))
    return report


def test_more_rows_than_the_limit_are_sampled(watched: Project) -> None:
    write_config(watched.root, "monitoring", UNDRAWN | {"maximum_rows": 1000})
    verdict = monitor_model(watched, table=write_rows(watched, rows=4000))
    report = json.loads((watched.reports / "drift.json").read_text(encoding="utf-8"))
    assert 850 < report["rows"] < 1150
    assert any("a sample of the 4000 rows" in message for message in verdict.messages)


def test_mistakes_are_named(watched: Project) -> None:
    table = write_rows(watched, rows=49)
    with pytest.raises(ProjectError, match=r"Only 49 rows .*minimum_rows of config/monitoring.yaml is 50"):
        monitor_model(watched, table=table)
    with pytest.raises(ProjectError, match=r"No requests that v1 answered .* --table FILE"):
        monitor_model(watched)
    with pytest.raises(ProjectError, match=r"no column with role identifier"):
        monitor_model(watched, table=table, labels=table)
    with pytest.raises(ProjectError, match="does not exist"):
        monitor_model(watched, table=Path("nothing.csv"))
    with pytest.raises(ProjectError, match="all its rows are taken"):
        monitor_model(watched, table=table, period=Period(window="7d"))
    for period, message in (
        (Period("2026-01-01", "7d"), "not both"),
        (Period("yesterday"), "--since yesterday is no date"),
        (Period(None, "7 days"), "--window 7 days is no length"),
    ):
        with pytest.raises(ProjectError, match=message):
            monitor_model(watched, period=period)
    (watched.models / "drift_alarms.json").write_text("[1]")
    with pytest.raises(ProjectError, match=r"drift_alarms\.json is damaged"):
        monitor(watched)


def test_the_command_exits_with_3_on_drift_and_with_1_on_a_mistake(watched: Project) -> None:
    table = write_rows(watched, move_size(0.6, 36))

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "{{ cookiecutter.__package }}", "monitor", *arguments],
            env={**os.environ, "PROJECT_ROOT": str(watched.root)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    code, output = run("--table", str(table))
    assert code == 3
    assert "Drift: size: distribution" in output
    assert run("--table", str(table))[0] == 0
    assert run()[0] == 1


def test_without_a_model_the_message_says_what_to_run(toy: Project) -> None:
    write_config(toy.root, "monitoring", UNDRAWN)
    with pytest.raises(ProjectError, match="run the `pipeline` command first"):
        monitor_model(toy)


def test_the_reference_belongs_to_the_version_and_its_hash_is_checked(watched: Project) -> None:
    folder = Registry(watched.models).folder("v1")
    assert REFERENCE_FILE in Registry(watched.models).manifest("v1").files
    path = folder / REFERENCE_FILE
    path.write_text(path.read_text().replace('"missing":0', '"missing":1', 1))
    with pytest.raises(ProjectError, match=r"reference\.json is not the file its manifest describes"):
        monitor(watched)


def test_the_reference_counts_the_training_rows(watched: Project) -> None:
    reference = read_reference(Registry(watched.models).folder("v1"))
    rows = Registry(watched.models).manifest("v1").data.rows
    for numbers in reference.numbers.values():
        assert numbers.rows + numbers.missing == rows["train"]
    for categories in reference.categories.values():
        assert categories.rows + categories.missing == rows["train"]
    assert reference.predictions.rows == rows["validation"]


def test_a_sensitive_column_is_not_in_the_reference(trained_toy: Project) -> None:
    columns = TOY_SCHEMA["columns"] | {"age": TOY_SCHEMA["columns"]["age"] | {"sensitive": True}}
    project = change_config(trained_toy, "schema", columns=columns)
    prepare_data(project)
    train_model(project)
    assert "age" not in read_reference(project.candidate).numbers
    assert b"age" not in read_files(project.candidate)[REFERENCE_FILE]


def test_the_grid_gives_the_distance_that_all_values_give() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=90), generator.normal(0.5, 1, 60)
    counts = count_numbers(one)
    edges = np.array(counts.edges)
    window = np.bincount(np.searchsorted(edges, other), minlength=len(edges) + 1)
    distance, p_value = statistics.kolmogorov_smirnov(np.array([*counts.counts, 0]), window)
    exact = stats.ks_2samp(one, other, method="asymp")
    assert distance <= exact.statistic
    assert distance == pytest.approx(exact.statistic, abs=0.03)
    assert p_value == pytest.approx(exact.pvalue, rel=0.5)


def test_exceedance_is_the_chance_of_being_the_extreme_rows() -> None:
    # One row each: either is the larger one.
    assert statistics.exceedance(1, 1, 1) == pytest.approx(0.5)
    assert statistics.exceedance(10, 5, 0) == 1
    assert statistics.exceedance(2, 2, 2) == pytest.approx(1 / 6)


def test_the_correction_is_holms() -> None:
    assert statistics.adjust([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.adjust([]) == []


def test_scores_are_rounded_to_five_digits() -> None:
    assert round_scores(np.array([0.123456, -98765.4, 0.0, 1e-9])).tolist() == [0.12346, -98765.0, 0.0, 1e-9]
