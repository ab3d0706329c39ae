"""Drift is found where it was put, and only there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_project.config import DerivedFeature, Project
from demo_project.errors import ProjectError
from demo_project.features import Columns
from demo_project.modeling.manifest import Manifest
from demo_project.monitoring import checks, reference
from demo_project.monitoring.drift import monitor_model
from demo_project.monitoring.window import Window
from demo_project.schema import Schema
from scipy import stats

from .test_drift import (  # noqa: F401
    NOW,
    SHIFT,
    Row,
    change_column,
    change_manifest,
    draw,
    fresh_rows,
    manifest,
    monitor,
    read_report,
    set_cell,
    shift,
    watched,
    write_table,
)
from .toys import change_config, write_config


def judge(folder: Any, manifest: Manifest, training: Any, window: Any, **settings: Any) -> list[str]:
    """What is found in columns and scores, against a reference of others."""
    reference.write_reference(folder, manifest, *training)
    rows = Window("test", len(next(iter(window[0].values()))), *window)
    made = list(checks.check_window(reference.read_reference(folder), manifest, rows))
    checks.settle(made, checks.MonitoringSettings(**settings))
    return [check.subject for check in made if check.is_drift]


@pytest.mark.parametrize(("rate", "training", "window"), [(0.2, 300, 100), (0.05, 80, 900)])
def test_fresh_rows_alarm_as_rarely_as_stated(
    tmp_path: Path, manifest: Manifest, rate: float, training: int, window: int
) -> None:
    # Without the least effects, so that the tests and their correction alone keep the rate.
    settings = {"false_alarm_rate": rate, "minimum_psi": 0}
    generator = np.random.default_rng(4)
    runs = [
        judge(tmp_path, manifest, draw(training, generator), draw(window, generator), **settings) for _ in range(100)
    ]
    assert 0 < sum(map(bool, runs)) <= stats.binom.ppf(0.999, 100, rate)


@pytest.mark.parametrize(
    ("name", "before", "after", "found"),
    [
        ("colour", lambda codes: np.minimum(codes, 1), np.array, ["colour"]),
        ("colour", np.array, lambda codes: np.minimum(codes, 1), ["colour"]),
        ("size", lambda sizes: sizes * (sizes > 85), lambda sizes: sizes * (sizes > 60), ["size"]),
        ("size", np.array, lambda sizes: sizes * 0.97, []),
        ("size", np.array, lambda sizes: sizes * 0.8, ["size"]),
        ("age", np.array, lambda ages: np.where(ages > 90, ages + 20, ages), ["age"]),
        ("age", lambda ages: ages * np.nan, np.array, ["age"]),
    ],
)
def test_a_change_is_drift_if_it_is_large(
    tmp_path: Path, manifest: Manifest, name: str, before: Any, after: Any, found: Any
) -> None:
    columns, scores = draw(50_000, np.random.default_rng(2))
    known, window = ((columns | {name: change(columns[name])}, scores) for change in (before, after))
    assert judge(tmp_path, manifest, known, window) == found


def test_rows_that_data_rejected_before_are_no_drift(watched: Project, manifest: Manifest) -> None:
    change_manifest(watched, data=manifest.data.model_copy(update={"rejected": 40}))
    assert monitor(watched, set_cell("size", "150", 10)).findings == []


def test_the_report_has_a_table_and_pictures_of_what_changed_most(watched: Project) -> None:
    write_config(watched.root, "monitoring", {"maximum_pictures": 3})
    monitor_model(watched, table=write_table(watched, SHIFT))
    report = read_report(watched)
    assert {finding["subject"] for finding in report["findings"]} >= {"size", "predicted kind"}
    assert (watched.reports / "tables" / "drift.csv").read_bytes().startswith(b"subject,statistic,effect,")
    drawn = {path.name for path in (watched.reports / "figures" / "drift").iterdir()}
    assert drawn == {"stability.png", *report["pictures"].values()}
    assert (len(drawn), report["pictures"]["size"][1:]) == (4, "_size.png")


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
    log_requests(watched, fresh_rows(80), at=-8 * 86400, file="old.jsonl")
    verdict = monitor_model(watched, now=NOW)
    assert verdict.messages[0].startswith("v1: 120 rows (requests since 2029-12-25")
    assert verdict.messages[1].startswith("4 damaged line(s)")
    assert (verdict.exit_code, "size" in verdict.findings) == (3, True)
    write_config(watched.root, "monitoring", {"maximum_pictures": 0, "window_hours": 12 * 24})
    assert monitor_model(watched, now=NOW).messages[0].startswith("v1: 200 rows")


def test_requests_of_another_version_or_of_another_table_are_named(watched: Project) -> None:
    log_requests(watched, fresh_rows(60), version="v7")
    with pytest.raises(ProjectError, match="No requests that v1 answered"):
        monitor_model(watched, now=NOW)
    log_requests(watched, fresh_rows(60, set_cell("colour", "pink", 10)))
    with pytest.raises(ProjectError, match="rows of another table, of a former v1"):
        monitor_model(watched, now=NOW)


def test_a_column_that_is_sensitive_by_now_is_not_compared(watched: Project, manifest: Manifest) -> None:
    log_requests(watched, fresh_rows(60, set_cell("age", "", 1)))
    assert "age" in monitor_model(watched, now=NOW).findings
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
        (shift("arrival", lambda days: days + 21), ["lead"]),
        (shift("booked", lambda days: days + 0.3), ["booked hour"]),
        (shift("note", lambda texts: texts + "x" * 60), ["note length"]),
        (shift("country", lambda names: np.where(names == "c1", "c2", names)), ["country"]),
        (shift("country", lambda names: np.where(names == "c1", "new", names)), ["country"]),
        (shift("room", lambda codes: np.where(codes == 1, -1, codes)), ["room"]),
    ],
)
def test_dates_texts_and_new_values_drift_and_a_later_date_alone_does_not(
    tmp_path: Path, manifest: Manifest, change: Any, expected: list[str]
) -> None:
    stays = manifest.model_copy(update={"table": STAY, "derived": (LEAD,)})
    scores = np.tile([0.7, 0.3], (600, 1))
    found = judge(tmp_path, stays, (draw_stays(2000, 0), scores), (change(draw_stays(600, 1)), scores))
    assert (set(expected) - set(found), bool(found)) == (set(), bool(expected))
