"""Drift is found where it was put, and only there."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_project.config import DerivedFeature, MonitoringSettings, Project
from demo_project.errors import ProjectError
from demo_project.features import Columns
from demo_project.files import write_json
from demo_project.modeling.manifest import Manifest
from demo_project.monitoring import checks, reference
from demo_project.monitoring.drift import monitor_model, name_picture
from demo_project.monitoring.window import Window
from demo_project.schema import Schema
from scipy import stats

from .test_drift import (  # noqa: F401
    NOW,
    SHIFT,
    SIZE,
    Change,
    Row,
    change_column,
    change_manifest,
    draw,
    fresh_rows,
    manifest,
    monitor,
    move_size,
    read_report,
    set_cell,
    shift,
    watched,
    write_table,
)
from .toys import change_config, write_config, write_raw


def judge(manifest: Manifest, training: Any, window: Any, **settings: Any) -> list[str]:
    """What is found in columns, scores and truth, against a reference of others."""
    known = reference.describe_reference(manifest.table, manifest.labels, *training)
    rows = Window("test", len(window[0]["size"]), *window)
    made = [*checks.check_columns(known, manifest, rows), *checks.check_predictions(known, manifest, rows)]
    checks.settle(made, MonitoringSettings(**settings))
    return [f"{check.subject}: {check.kind}" for check in made if check.is_drift]


@pytest.mark.parametrize(("rate", "training", "window"), [(0.2, 300, 100), (0.05, 80, 900)])
def test_fresh_rows_alarm_as_rarely_as_stated(manifest: Manifest, rate: float, training: int, window: int) -> None:
    # Without the least effects, so that the tests and their correction alone keep the rate.
    settings = {"false_alarm_rate": rate, "minimum_psi": 0, "minimum_share": 0}
    generator = np.random.default_rng(4)
    runs = [judge(manifest, draw(training, generator), draw(window, generator), **settings) for _ in range(100)]
    assert 0 < sum(map(bool, runs)) <= stats.binom.ppf(0.999, 100, rate)


@pytest.mark.parametrize(
    ("name", "before", "after", "kinds"),
    [
        ("colour", lambda codes: np.minimum(codes, 1), np.array, ["distribution"]),
        ("colour", np.array, lambda codes: np.minimum(codes, 1), ["distribution"]),
        ("size", lambda sizes: sizes * (sizes > 85), lambda sizes: sizes * (sizes > 60), ["distribution"]),
        ("size", np.array, lambda sizes: sizes * 0.97, []),
        ("size", np.array, lambda sizes: sizes * 0.8, ["distribution"]),
    ],
)
def test_a_change_is_drift_if_it_is_large(manifest: Manifest, name: str, before: Any, after: Any, kinds: Any) -> None:
    columns, *rest = draw(50_000, np.random.default_rng(2))
    known, window = ((columns | {name: change(columns[name])}, *rest) for change in (before, after))
    assert judge(manifest, known, window) == [f"{name}: {kind}" for kind in kinds]


@pytest.mark.parametrize(("spread", "findings"), [(1, []), (2, ["performance: larger errors"])])
def test_larger_errors_of_a_regression_alarm(manifest: Manifest, spread: float, findings: list[str]) -> None:
    numbers = {name: column for name, column in manifest.table.columns.items() if name != "kind"}
    table = manifest.table.model_copy(update={"task": "regression", "target": "size", "columns": numbers})
    generator = np.random.default_rng(1)
    truth = generator.normal(50, 9, 300)
    known, window = ((draw(300, generator)[0], truth + generator.normal(0, by, 300), truth) for by in (1, spread))
    assert judge(manifest.model_copy(update={"labels": (), "table": table}), known, window) == findings


def test_rows_that_data_rejected_before_are_no_drift(watched: Project, manifest: Manifest) -> None:
    change_manifest(watched, data=manifest.data.model_copy(update={"rejected": 40}))
    assert "size: out of range" not in monitor(watched, set_cell("size", "150", 10)).findings


def test_the_report_has_a_table_and_pictures_named_after_the_columns(watched: Project) -> None:
    write_config(watched.root, "monitoring", {"maximum_pictures": 3, "maximum_rows": 1000})
    verdict = monitor_model(watched, table=write_table(watched, SHIFT, rows=4000))
    report = read_report(watched)
    assert 850 < report["rows"] == report["performance"]["rows"] < 1150
    assert "a sample of the 4000 rows" in verdict.messages[1]
    assert {finding["subject"] for finding in report["findings"]} >= {"size", "prediction"}
    assert report["performance"]["live"].keys() == report["performance"]["test"].keys()
    assert (watched.reports / "tables" / "drift.csv").read_bytes().startswith(b"subject,kind,test,statistic,effect,")
    drawn = {path.name for path in (watched.reports / "figures" / "drift").iterdir()}
    assert drawn == {"stability.png", *report["pictures"].values()}
    assert (len(drawn), report["pictures"]["size"]) == (4, "column_size.png")


def test_names_of_pictures_fit_every_file_system_and_differ() -> None:
    taken: list[str] = []
    for subject in ("a/b", "A b", "größe", "日本", "../x", "x" * 300):
        taken.append(name_picture(subject, taken))
    assert taken[:5] == [
        "column_a_b.png",
        "column_a_b_2.png",
        "column_größe.png",
        "column_日本.png",
        "column_x.png",
    ]
    assert len(taken[5]) < 100


def test_a_new_version_that_did_not_help_gets_a_cooldown_of_its_own(watched: Project, manifest: Manifest) -> None:
    promoted_after = (datetime.fromisoformat(str(manifest.created_at)) - NOW) / timedelta(hours=1)
    assert [monitor(watched, SHIFT, promoted_after + hours).exit_code for hours in (-20, 5, 23, 25)] == [
        3,
        0,
        0,
        3,
    ]


def test_the_reference_of_a_former_release_is_read(tmp_path: Path) -> None:
    numbers, categories = {"edges": [1.0, 2.5], "counts": [1, 3], "missing": 2}, {"counts": {"b": 4, "a": 0}}
    content = {
        "numbers": {"x": numbers},
        "categories": {"y": categories},
        "predictions": categories,
        "errors": None,
    }
    write_json(tmp_path / reference.REFERENCE_FILE, content)
    found = reference.read_reference(tmp_path)
    assert found.numbers["x"].pair("x", np.array([0.5, 1, 2, 3])).window.tolist() == [1, 1, 1, 1]
    assert found.categories["y"].pair("y", np.array([0, 1, -1])).names == ("b", "a")


def log_requests(project: Project, rows: list[Row], version: str = "v1", at: float = 0, file: str = "w.jsonl") -> None:
    """Write rows as the API logs them, one a request, and a line that the server was killed at."""
    lines = []
    for place, row in enumerate(rows):
        values = {
            "size": float(row["size"]),
            "colour": row["colour"] or None,
            "striped": row["striped"] == "true",
        }
        values["age"] = int(row["age"]) if row["age"] else None
        answers = [{"label": row["kind"], "probabilities": {"big": 0.5, "small": 0.5}}]
        line = {"id": f"{file}-{place}", "at": NOW.timestamp() + at, "version": version, "places": [7]}
        lines.append(json.dumps(line | {"rows": [values], "predictions": answers}))
    project.requests.mkdir(parents=True, exist_ok=True)
    (project.requests / file).write_text("\n".join([*lines, '{"id": "half']), encoding="utf-8")


def test_logged_requests_are_read_from_all_files_but_for_damaged_lines(watched: Project) -> None:
    log_requests(watched, fresh_rows(60, SHIFT))
    log_requests(watched, fresh_rows(60, SHIFT), file="w.jsonl.1")
    log_requests(watched, fresh_rows(70), version="v7", file="other.jsonl")
    log_requests(watched, fresh_rows(80), at=-8 * 86400, file="old.open")
    labels = [f"w.jsonl-{place}-7,{row['kind']}" for place, row in enumerate(fresh_rows(60))]
    verdict = monitor_model(watched, labels=write_raw(watched.root, labels, "x.csv", "row_id,kind"), now=NOW)
    assert verdict.messages[0].startswith("v1: 120 rows (requests since 2029-12-25")
    assert verdict.messages[1].startswith("4 damaged line(s)")
    assert (verdict.exit_code, verdict.findings[0], read_report(watched)["performance"]["rows"]) == (
        3,
        SIZE,
        60,
    )
    assert monitor_model(watched, since="2029-12-20", now=NOW).messages[0].startswith("v1: 200 rows")


def test_requests_of_another_version_or_of_another_table_are_named(watched: Project) -> None:
    log_requests(watched, fresh_rows(60), version="v7")
    with pytest.raises(ProjectError, match=r"No requests that v1 answered .* there are some of v7"):
        monitor_model(watched, now=NOW)
    log_requests(watched, fresh_rows(60, set_cell("colour", "pink", 10)))
    with pytest.raises(ProjectError, match="rows of another table, of a former v1"):
        monitor_model(watched, now=NOW)


def test_a_column_that_is_sensitive_by_now_is_not_compared(watched: Project, manifest: Manifest) -> None:
    log_requests(watched, fresh_rows(60, set_cell("age", "", 1)))
    assert "age: missing" in monitor_model(watched, now=NOW).findings
    table = change_column(manifest.table, "age", sensitive=True)
    project = change_config(watched, "schema", columns=table.model_dump(mode="json")["columns"])
    assert "age" not in monitor_model(project, now=NOW).checks["subject"]


STAY = Schema.model_validate(
    {
        "task": "classification",
        "target": "kind",
        "columns": {
            "kind": {"type": "category", "categories": ["big", "small"]},
            "booked": {"type": "timestamp", "format": "%Y-%m-%d %H:%M"},
            "arrival": {"type": "timestamp", "format": "%Y-%m-%d"},
            "note": {"type": "text"},
            "country": {"type": "category"},
            "room": {"type": "category", "categories": ["single", "double"], "unseen": "take"},
        },
    }
)


LEAD = DerivedFeature(name="lead", operation="difference", columns=("arrival", "booked"))


def draw_stays(rows: int, seed: int, start: int = 19_000) -> Columns:
    generator = np.random.default_rng(seed)
    booked = start + generator.integers(0, 364, rows) + generator.integers(8, 20, rows) / 24
    return {
        "booked": booked,
        "arrival": np.floor(booked) + generator.geometric(0.05, rows),
        "note": np.array(["x" * length for length in generator.integers(20, 60, rows)], dtype=object),
        "country": np.array([f"c{place}" for place in generator.zipf(1.6, rows)], dtype=object),
        "room": generator.choice([-1, 0, 1], rows, p=[0.05, 0.6, 0.35]),
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda columns: columns, []),
        (lambda _: draw_stays(600, 2, start=19_364), []),
        (shift("arrival", lambda days: days + 21), ["lead: distribution"]),
        (shift("booked", lambda days: days + 0.3), ["booked hour: distribution", "booked hour: out of range"]),
        (shift("note", lambda texts: texts + "x" * 60), ["note length: distribution", "note length: out of range"]),
        (shift("country", lambda names: np.where(names == "c1", "c2", names)), ["country: distribution"]),
        (shift("country", lambda names: np.where(names == "c1", "new", names)), ["country: unseen value"]),
        (shift("room", lambda codes: np.where(codes == 1, -1, codes)), ["room: unseen category"]),
    ],
)
def test_dates_texts_and_new_values_drift_and_a_later_date_alone_does_not(
    manifest: Manifest, change: Any, expected: list[str]
) -> None:
    scores = np.tile([0.7, 0.3], (600, 1))
    known = reference.describe_reference(
        STAY, manifest.labels, draw_stays(2000, 0), np.tile([0.7, 0.3], (2000, 1)), np.zeros(2000), (), (LEAD,)
    )
    known = reference.Reference.model_validate_json(known.model_dump_json())
    stays = manifest.model_copy(update={"table": STAY, "derived": (LEAD,)})
    window = Window("test", 600, change(draw_stays(600, 1)), scores, np.zeros(600))
    made = list(checks.check_columns(known, stays, window))
    checks.settle(made, MonitoringSettings())
    found = [f"{check.subject}: {check.kind}" for check in made if check.is_drift]
    assert (set(expected) - set(found), bool(found)) == (set(), bool(expected))
