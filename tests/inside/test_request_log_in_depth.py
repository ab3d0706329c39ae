"""Answered rows are kept for `monitor`, within bounds, and never in a request's way."""

import os
import sys
from contextlib import closing

import pytest
from demo_project.config import Project
from demo_project.monitoring.drift import monitor_model
from demo_project.serving import monitoring
from demo_project.serving.metrics import registry
from demo_project.serving.service import Service

from .test_request_log import (  # noqa: F401
    MARK,
    ROW,
    Rows,
    ask,
    count_rows,
    counted_rows,
    logged_lines,
    request_rows,
    served,
    set_log,
)
from .toys import wait_until


def test_the_metrics_show_what_monitor_found_last(served: Project) -> None:
    with closing(Service(served)) as service:
        ask(service, request_rows(100))
    assert registry.get_sample_value("drift_detected") is None
    verdict = monitor_model(served)
    assert registry.get_sample_value("drift_rows") == 100
    assert registry.get_sample_value("drift_detected") == bool(verdict.findings)
    (served.reports / "drift.json").write_text("damaged", encoding="utf-8")
    assert registry.get_sample_value("drift_detected") is None


def test_the_folder_stays_within_its_bytes_and_drops_the_oldest_rows(served: Project) -> None:
    limit = 20_000
    project = set_log(served, maximum_bytes=limit)
    largest, requests = 0, []
    for _ in range(40):
        # Each is a server with a file of its own.
        with closing(Service(project)) as service:
            requests += [ask(service, [ROW] * 3)[0] for _ in range(4)]
        largest = max(largest, sum(path.stat().st_size for path in project.requests.iterdir()))
    assert limit * 0.7 < largest <= limit
    kept = {line["id"] for line in logged_lines(project.requests)}
    assert kept == set(requests[-len(kept) :])


def test_a_server_goes_on_where_another_dropped_its_file(served: Project) -> None:
    written = counted_rows("written")
    with closing(Service(served)) as service:
        ask(service, [ROW])
        wait_until(lambda: counted_rows("written") == written + 1)
        [path] = served.requests.iterdir()
        path.unlink()
        ask(service, [ROW] * 2)
    assert count_rows(served.requests) == 2


def test_a_flood_is_cut_and_the_lost_rows_are_counted(served: Project) -> None:
    written, lost = counted_rows("written"), counted_rows("lost")
    with closing(Service(set_log(served, maximum_bytes=10_000))) as service:
        for _ in range(100):
            ask(service, [ROW] * 10)
    kept = count_rows(served.requests)
    assert 0 < kept < 1000
    assert counted_rows("lost") - lost + counted_rows("written") - written == 1000
    assert counted_rows("lost") > lost


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_loses_rows_and_no_request(served: Project) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    written, lost = counted_rows("written"), counted_rows("lost")
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, limits[1]))
    try:
        with closing(Service(served)) as service:
            for _ in range(50):
                ask(service, [ROW])
            wait_until(lambda: counted_rows("written") == written + 50)
            for _ in range(50):
                ask(service, [ROW])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    kept = count_rows(served.requests)
    assert 50 <= kept < 100
    assert (counted_rows("written") - written, counted_rows("lost") - lost) == (kept, 100 - kept)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes on the disk")
def test_a_disk_that_does_not_answer_holds_up_neither_requests_nor_the_end(
    served: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "_CLOSING_SECONDS", 0.1)
    pipe = served.root / "pipe"
    os.mkfifo(pipe)
    service = Service(served)
    # To open it blocks in the system, as on a dead network disk, until somebody reads.
    service.log._path = pipe
    try:
        ask(service, [ROW])
        wait_until(lambda: not service.log._buffer)
        for _ in range(100):
            ask(service, [ROW])
        service.close()
        assert service.log._thread.is_alive()
    finally:
        # Lets the thread go.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        service.log._thread.join()
        os.close(reader)


def test_a_folder_that_cannot_be_made_loses_rows_and_no_request(served: Project) -> None:
    served.requests.parent.mkdir(parents=True, exist_ok=True)
    served.requests.write_text("a file where the folder should be", encoding="utf-8")
    lost = counted_rows("lost")
    with closing(Service(served)) as service:
        ask(service, [ROW] * 10)
    assert counted_rows("lost") == lost + 10
    assert "Requests are answered but not logged" in (served.logs / "inference.log").read_text(encoding="utf-8")
