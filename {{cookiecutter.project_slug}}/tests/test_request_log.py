"""Answered rows are kept for `monitor`, within bounds, and never in a request's way."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import FileIO
from typing import Any

import polars as pl
import pytest
import yaml

from {{ cookiecutter.__package }}.config import Project, find_project, read_settings
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.pipeline import run_pipeline
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.monitoring.drift import monitor_model
from {{ cookiecutter.__package }}.serving.metrics import Metrics
from {{ cookiecutter.__package }}.serving.request_log import REQUEST_ID_HEADER, RequestLog
from {{ cookiecutter.__package }}.serving.segments import SegmentWriter
from {{ cookiecutter.__package }}.serving.service import Response, Service, open_service
from {{ cookiecutter.__package }}.serving.settings import SETTINGS_FILE, RequestLogSettings, ServingSettings

from .toys import TOY_SCHEMA, change_config, copy_version, toy_rows, write_config

KEY = "key"
MARK = 12.345678
ROW: dict[str, Any] = {"size": MARK, "age": 30, "colour": "red", "striped": True}

Rows = list[dict[str, Any]]


@pytest.fixture
def served(trained_toy: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A toy project with a version, served as this project is."""
    monkeypatch.setenv("API_KEYS", KEY)
    shutil.copyfile(find_project().root / "config" / SETTINGS_FILE, trained_toy.root / "config" / SETTINGS_FILE)
    write_config(trained_toy.root, "monitoring", {"maximum_pictures": 0})
    return set_log(trained_toy)


def set_log(project: Project, **settings: Any) -> Project:
    return change_config(project, "serving", request_log=settings)


def request_rows(rows: int, seed: int = 3) -> Rows:
    """Toy rows as a client sends them."""
    found = []
    for line in toy_rows(rows, seed):
        _, size, age, colour, striped, _ = line.split(",")
        found.append(
            {
                "size": float(size),
                "age": int(age) if age else None,
                "colour": colour or None,
                "striped": striped == "true",
            }
        )
    return found


def ask(service: Service, rows: Rows) -> Response:
    response = service.handle("POST", "/predict", KEY.encode(), json.dumps({"rows": rows}).encode())
    assert response.status == 200
    return response


@contextmanager
def serving(project: Project) -> Iterator[Service]:
    """The service, whose log is written when the block ends."""
    service = open_service(project)
    try:
        yield service
    finally:
        service.close()


def logged_bytes(project: Project) -> bytes:
    """All that is in the log's folder."""
    return b"".join(path.read_bytes() for path in sorted(project.requests.glob("*")))


def logged_lines(project: Project) -> list[dict[str, Any]]:
    segments = [path.read_text(encoding="utf-8") for path in sorted(project.requests.glob("*.jsonl"))]
    return [json.loads(line) for text in segments for line in text.splitlines()]


def count_logged_rows(project: Project) -> int:
    return sum(len(line["rows"]) for line in logged_lines(project))


def count_rows(service: Service, outcome: str) -> int:
    text = service.handle("GET", "/metrics", None, b"").body.decode()
    lines = [line for line in text.splitlines() if line.startswith("request_log_rows_total") and outcome in line]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


def test_rows_and_predictions_become_parquet_that_monitor_reads(served: Project) -> None:
    rows = request_rows(120)
    with serving(served) as service:
        answers = [json.loads(ask(service, [row]).body)["predictions"][0] for row in rows]
    verdict = monitor_model(served)
    assert verdict.exit_code == 0
    assert verdict.messages[0].startswith("v1: 120 rows")
    [path] = served.requests.iterdir()
    assert path.suffix == ".parquet"
    frame = pl.read_parquet(path)
    assert frame.select(list(ROW)).to_dicts() == rows
    assert frame["_prediction"].to_list() == [answer["label"] for answer in answers]
    assert frame["_probability big"].to_list() == [answer["probabilities"]["big"] for answer in answers]
    assert abs(frame["_at"][0] - datetime.now(UTC)) < timedelta(minutes=5)
    assert monitor_model(served).messages[0].startswith("v1: 120 rows")


def test_drift_in_requests_alarms(served: Project) -> None:
    with serving(served) as service:
        ask(service, [row | {"size": row["size"] * 0.6 + 36} for row in request_rows(300)])
    verdict = monitor_model(served)
    assert verdict.exit_code == 3
    assert {"size: distribution", "prediction: distribution"} <= set(verdict.findings)


def test_an_open_segment_is_read_and_left_alone(served: Project) -> None:
    service = open_service(served)
    try:
        ask(service, request_rows(60))
        wait_until(lambda: count_rows(service, "written") == 60)
        assert monitor_model(served).messages[0].startswith("v1: 60 rows")
        assert [path.suffix for path in served.requests.iterdir()] == [".open"]
    finally:
        service.close()


def test_labels_are_joined_by_the_identifier_of_the_request(served: Project) -> None:
    other = {"big": "small", "small": "big"}
    lines = ["row_id,kind"]
    with serving(served) as service:
        for row in request_rows(80):
            response = ask(service, [row])
            label = json.loads(response.body)["predictions"][0]["label"]
            lines.append(f"{dict(response.headers)[REQUEST_ID_HEADER]}-0,{other[label]}")
    labels = served.root / "labels.csv"
    labels.write_text("\n".join(lines), encoding="utf-8")
    assert "performance: more errors" in monitor_model(served, labels=labels).findings
    report = json.loads((served.reports / "drift.json").read_text(encoding="utf-8"))
    assert report["performance"]["rows"] == 80
    assert report["performance"]["live"]["accuracy"] == 0


def test_a_column_marked_as_sensitive_never_reaches_the_disk(served: Project) -> None:
    hidden = TOY_SCHEMA["columns"]["size"] | {"sensitive": True}
    project = change_config(served, "schema", columns=TOY_SCHEMA["columns"] | {"size": hidden})
    with serving(project) as service:
        ask(service, [ROW] * 60)
    assert count_logged_rows(project) == 60
    assert str(MARK).encode() not in logged_bytes(project)
    assert str(MARK).encode() not in b"".join(path.read_bytes() for path in project.logs.glob("*"))
    run_pipeline_with_new_schema(project)
    change_config(project, "schema", columns=TOY_SCHEMA["columns"])
    with serving(Project(project.root)) as service:
        ask(service, request_rows(60))
        ask(service, [ROW])
    assert str(MARK).encode() not in logged_bytes(project)
    assert not {check for check in monitor_model(project).checks["subject"] if check == "size"}
    assert "size" not in pl.read_parquet(next(project.requests.glob("v2-*.parquet"))).columns


def run_pipeline_with_new_schema(project: Project) -> None:
    """Make the version that knows of the mark, whatever the gate says of it."""
    shutil.rmtree(project.models)
    run_pipeline(project)
    Registry(project.models).move_latest(copy_version(project), "test")


def test_predictions_of_a_sensitive_target_are_not_kept(served: Project) -> None:
    hidden = TOY_SCHEMA["columns"]["kind"] | {"sensitive": True}
    project = change_config(served, "schema", columns=TOY_SCHEMA["columns"] | {"kind": hidden})
    with serving(project) as service:
        ask(service, request_rows(60))
    assert {line["predictions"] for line in logged_lines(project)} == {None}
    verdict = monitor_model(project)
    assert any("Predictions were not compared" in message for message in verdict.messages)


def test_a_share_of_the_rows_is_kept(served: Project) -> None:
    project = set_log(served, share=0.3)
    with serving(project) as service:
        for _ in range(20):
            ask(service, [ROW] * 100)
    # Five standard deviations of a binomial of 2000 rows at 0.3.
    assert abs(count_logged_rows(project) - 600) < 103


def test_a_kept_row_has_the_prediction_and_the_identifier_of_its_place(served: Project) -> None:
    project = set_log(served, share=0.5)
    rows = request_rows(200)
    with serving(project) as service:
        response = ask(service, rows)
    request = dict(response.headers)[REQUEST_ID_HEADER]
    labels = [prediction["label"] for prediction in json.loads(response.body)["predictions"]]
    monitor_model(project)
    [path] = project.requests.iterdir()
    for row in pl.read_parquet(path).iter_rows(named=True):
        place = int(row["_row_id"].removeprefix(f"{request}-"))
        assert {name: row[name] for name in ROW} == rows[place]
        assert row["_prediction"] == labels[place]


def test_without_a_share_nothing_is_written(served: Project) -> None:
    project = set_log(served, share=0)
    threads = threading.active_count()
    with serving(project) as service:
        response = ask(service, [ROW])
    assert response.headers == ()
    assert not project.requests.exists()
    assert "request-log" not in {thread.name for thread in threading.enumerate()[threads:]}


@pytest.mark.parametrize("share", [0, 1])
def test_the_documentation_tells_of_the_identifier_where_there_is_one(served: Project, share: float) -> None:
    with serving(set_log(served, share=share)) as service:
        document = json.loads(service.handle("GET", "/openapi.json", None, b"").body)
        told = document["paths"]["/predict"]["post"]["responses"]["200"].get("headers", {})
        assert list(told) == list(dict(ask(service, [ROW]).headers))


def test_the_log_stays_within_its_bytes_and_drops_the_oldest_rows(served: Project) -> None:
    limit = 20_000
    largest = 0
    writer = SegmentWriter(served.requests, limit)
    for number in range(300):
        assert writer.write([json.dumps({"number": number, "text": "x" * 200}).encode() + b"\n"] * 3) == 3
        largest = max(largest, sum(path.stat().st_size for path in served.requests.iterdir()))
    writer.close()
    assert limit * 0.7 < largest <= limit
    numbers = {line["number"] for line in logged_lines(served)}
    assert max(numbers) == 299
    assert min(numbers) > 200


def test_a_flood_larger_than_the_limit_is_cut(served: Project) -> None:
    writer = SegmentWriter(served.requests, 20_000)
    lines = [b"x" * 99 + b"\n"] * 1000
    assert writer.write(lines) == 1000
    writer.close()
    assert sum(path.stat().st_size for path in served.requests.iterdir()) <= 20_000
    assert writer.write([b"x" * 30_000]) == 0
    assert "maximum_bytes" in writer.problem


def test_each_worker_writes_segments_of_its_own(served: Project) -> None:
    with serving(served) as one, serving(served) as other:
        for row in request_rows(40):
            ask(one, [row])
            ask(other, [row])
    assert len(list(served.requests.glob("*.jsonl"))) == 2
    assert len({line["id"] for line in logged_lines(served)}) == 80


def test_packing_again_after_a_crash_counts_no_row_twice(served: Project) -> None:
    with serving(served) as service:
        ask(service, request_rows(60))
    [segment] = served.requests.glob("*.jsonl")
    content = segment.read_bytes()
    monitor_model(served)
    segment.with_stem(f"{segment.stem}x").write_bytes(content)
    assert len(list(served.requests.glob("*"))) == 2
    assert monitor_model(served).messages[0].startswith("v1: 60 rows")


def test_damaged_lines_and_files_are_left_out_and_counted(served: Project) -> None:
    with serving(served) as service:
        ask(service, request_rows(60))
    [segment] = served.requests.glob("*.jsonl")
    whole = segment.read_bytes()
    damage = [b'{"id": "half', b"null", b'{"id": 1, "at": "x", "version": "v1"}', b"\xff\xfe", b"[]"]
    segment.write_bytes(b"\n".join(damage) + b"\n" + whole + b'{"id":"cut off')
    (served.requests / "v1-damaged.parquet").write_bytes(b"PAR1 no")
    messages = monitor_model(served).messages
    assert messages[0].startswith("v1: 60 rows")
    assert "7 damaged line(s) or file(s) of the request log were left out" in messages


def test_a_segment_of_a_worker_that_died_is_packed(served: Project) -> None:
    with serving(served) as service:
        ask(service, request_rows(60))
    [segment] = served.requests.glob("*.jsonl")
    left = segment.rename(segment.with_suffix(".open"))
    long_ago = time.time() - 7200
    os.utime(left, (long_ago, long_ago))
    assert monitor_model(served).messages[0].startswith("v1: 60 rows")
    assert [path.suffix for path in served.requests.iterdir()] == [".parquet"]


def test_rows_of_another_version_or_time_are_not_judged(served: Project) -> None:
    with serving(served) as service:
        ask(service, request_rows(60))
    with pytest.raises(ProjectError, match=r"Only 0 rows \(requests since 2\d"):
        monitor_model(served, now=datetime.now(UTC) + timedelta(days=8))
    for path in served.requests.iterdir():
        path.rename(path.with_name(path.name.replace("v1-", "v7-")))
    with pytest.raises(ProjectError, match=r"No requests that v1 answered .* there are some of v7"):
        monitor_model(served)


ON_A_FULL_DISK = """
import json, resource, sys, time
from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.serving.service import open_service
from pathlib import Path

service = open_service(Project(Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
body = json.dumps({"rows": [json.loads(sys.argv[3])]}).encode()
for _ in range(4):
    for _ in range(50):
        assert service.handle("POST", "/predict", b"key", body).status == 200
    time.sleep(0.7)
service.close()
print(service.handle("GET", "/metrics", None, b"").body.decode())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize(("limit", "outcome"), [(100, 0), (16_000, 1)])
def test_a_full_disk_loses_rows_and_no_request(served: Project, limit: int, outcome: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, str(served.root), str(limit), json.dumps(ROW)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'http_requests_total{route="/predict",status="200"} 200.0' in done.stdout
    written = count_logged_rows(served)
    assert bool(written) == bool(outcome)
    lost = 200 - written
    counted = [line for line in done.stdout.splitlines() if line.startswith("request_log_rows_total")]
    assert any("lost" in line and line.endswith(f" {lost}.0") for line in counted) == bool(lost)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes on the disk")
def test_a_disk_that_does_not_answer_delays_no_request(served: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = served.root / "pipe"
    os.mkfifo(pipe)

    def open_pipe(writer: SegmentWriter) -> FileIO:
        # Blocks in the system, as on a dead network disk, until somebody reads.
        writer._file = FileIO(pipe, "w")
        return writer._file

    monkeypatch.setattr(SegmentWriter, "_open", open_pipe)
    monkeypatch.setattr("{{ cookiecutter.__package }}.serving.request_log._BUFFER_BYTES", 10_000)
    service = open_service(served)
    try:
        slowest = 0.0
        for _ in range(100):
            started = time.perf_counter()
            ask(service, [ROW])
            slowest = max(slowest, time.perf_counter() - started)
            time.sleep(0.01)
        assert slowest < 0.3
        started = time.perf_counter()
        service.close()
        assert time.perf_counter() - started < 5
    finally:
        # Lets the thread go.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        service.close()
        os.close(reader)


def test_a_folder_that_cannot_be_made_loses_rows_and_no_request(served: Project) -> None:
    served.requests.parent.mkdir(parents=True, exist_ok=True)
    served.requests.write_text("a file where the folder should be", encoding="utf-8")
    service = open_service(served)
    ask(service, [ROW] * 10)
    service.close()
    assert count_rows(service, "lost") == 10
    assert "Requests are answered but not logged" in (served.logs / "inference.log").read_text(encoding="utf-8")


def test_wrong_settings_are_named(served: Project) -> None:
    set_log(served, share=2)
    with pytest.raises(ProjectError, match=r"config/serving.yaml has wrong settings:\n  request_log.share"):
        open_service(served)


def test_the_projects_own_settings_are_good() -> None:
    root = find_project().root
    content = yaml.safe_load((root / "config" / SETTINGS_FILE).read_text(encoding="utf-8"))
    settings = read_settings(root, SETTINGS_FILE, ServingSettings).request_log
    assert content["request_log"].keys() == settings.model_dump().keys()


def test_a_buffer_that_is_full_drops_whole_requests(served: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("{{ cookiecutter.__package }}.serving.request_log._BUFFER_BYTES", 1000)
    log = RequestLog(RequestLogSettings(), served.requests, (), Metrics())
    with serving(served) as service:
        model = service._latest.served
    assert model is not None
    for _ in range(10):
        predictions = model.predict([ROW])
        log.record(model, [ROW], predictions, json.dumps(predictions).encode())
    log.start()
    log.close()
    assert 1 <= len(logged_lines(served)) < 10


def wait_until(condition: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
