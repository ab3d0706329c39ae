"""Answered rows are kept for `monitor`, within bounds, and never in a request's way."""

import json
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from {{ cookiecutter.__package }}.config import Project, find_project
from {{ cookiecutter.__package }}.files import write_json
from {{ cookiecutter.__package }}.modeling.manifest import MANIFEST_FILE
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.monitoring.drift import monitor_model
from {{ cookiecutter.__package }}.serving import monitoring
from {{ cookiecutter.__package }}.serving.metrics import registry
from {{ cookiecutter.__package }}.serving.service import SETTINGS_FILE, Service

from .toys import TOY_SCHEMA, change_config, copy_version, toy_rows, write_config

MARK = 12.345678
ROW: dict[str, Any] = {"size": MARK, "age": 30, "colour": "red", "striped": True}

Rows = list[dict[str, Any]]


@pytest.fixture
def served(trained_toy: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A toy project with a version, served as this project is, whose log waits for a slow disk."""
    monkeypatch.setattr(monitoring, "_CLOSING_SECONDS", 60)
    shutil.copyfile(find_project().root / "config" / SETTINGS_FILE, trained_toy.root / "config" / SETTINGS_FILE)
    write_config(trained_toy.root, "monitoring", {"maximum_pictures": 0})
    return set_log(trained_toy)


def set_log(project: Project, **settings: Any) -> Project:
    return change_config(project, "serving", request_log=settings)


def hide(project: Project, column: str) -> Project:
    hidden = {column: TOY_SCHEMA["columns"][column] | {"sensitive": True}}
    return change_config(project, "schema", columns=TOY_SCHEMA["columns"] | hidden)


def request_rows(rows: int) -> Rows:
    """Toy rows as a client sends them."""
    found = []
    for line in toy_rows(rows, seed=3):
        _, size, age, colour, striped, _ = line.split(",")
        row = {"size": float(size), "age": int(age) if age else None, "colour": colour or None}
        found.append(row | {"striped": striped == "true"})
    return found


def ask(service: Service, rows: Rows) -> tuple[str, Rows]:
    """The request's identifier, and its predictions."""
    request, answer = service.predict(json.dumps({"rows": rows}).encode())
    return request, answer["predictions"]


def logged_lines(folder: Path) -> Rows:
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jsonl*"))]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def count_rows(folder: Path) -> int:
    return sum(len(line["rows"]) for line in logged_lines(folder))


def counted_rows(outcome: str) -> int:
    """What the metric says, of all tests so far."""
    return int(registry.get_sample_value("request_log_rows_total", {"outcome": outcome}) or 0)


def test_a_request_is_a_line_with_its_rows_and_predictions(served: Project) -> None:
    rows = request_rows(3)
    written = counted_rows("written")
    with closing(Service(served)) as service:
        request, predictions = ask(service, rows)
    [line] = logged_lines(served.requests)
    assert time.time() - 600 < line.pop("at") <= time.time()
    assert line == {"id": request, "version": "v1", "rows": rows, "predictions": predictions}
    assert counted_rows("written") == written + 3


def test_monitor_reads_what_was_logged(served: Project) -> None:
    with closing(Service(served)) as service:
        ask(service, [row | {"size": row["size"] * 0.6 + 36} for row in request_rows(300)])
    verdict = monitor_model(served)
    assert verdict.messages[0].startswith("v1: 300 rows")
    assert {"size", "predicted kind"} <= set(verdict.findings)


def test_a_column_marked_as_sensitive_never_reaches_the_disk(served: Project) -> None:
    project = hide(served, "size")
    with closing(Service(project)) as service:
        ask(service, [ROW] * 60)
    assert {tuple(row) for line in logged_lines(project.requests) for row in line["rows"]} == {tuple(ROW)[1:]}
    for folder in (project.requests, project.logs):
        assert str(MARK).encode() not in b"".join(path.read_bytes() for path in folder.glob("*"))


def test_predictions_of_a_sensitive_target_are_not_kept(served: Project) -> None:
    project = hide(served, "kind")
    with closing(Service(project)) as service:
        ask(service, request_rows(60))
    assert {line["predictions"] for line in logged_lines(project.requests)} == {None}


def test_a_mark_that_the_version_was_trained_with_holds_on(served: Project) -> None:
    marked = hide(served, "size").schema
    registry, version = Registry(served.models), copy_version(served)
    manifest = registry.manifest(version).model_copy(update={"table": marked})
    write_json(registry.folder(version) / MANIFEST_FILE, manifest.model_dump(mode="json"))
    registry.move_latest(version, "test")
    with closing(Service(change_config(served, "schema", **TOY_SCHEMA))) as service:
        ask(service, [ROW])
    assert "size" not in logged_lines(served.requests)[0]["rows"][0]


def test_a_share_of_the_requests_or_none_is_kept_whole(served: Project) -> None:
    rows = request_rows(2)
    with closing(Service(set_log(served, share=0.3))) as service:
        answers = dict(ask(service, rows) for _ in range(1000))
    # Five standard deviations of a binomial of 1000 requests at 0.3.
    lines = logged_lines(served.requests)
    assert abs(len(lines) - 300) < 73
    for line in lines:
        assert (line["rows"], line["predictions"]) == (rows, answers[line["id"]])
    shutil.rmtree(served.requests)
    with closing(Service(set_log(served, share=0))) as service:
        ask(service, [ROW])
    assert not served.requests.exists()
