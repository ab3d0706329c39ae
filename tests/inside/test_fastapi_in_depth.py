"""Requests that are answered together, and those under way when the server stops."""

import asyncio
import socket
import threading
from contextlib import ExitStack
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest
from demo_project.config import Project
from demo_project.serving.fastapi_app import Batcher, answer_fast, create_app
from demo_project.serving.rows import RefusedError
from demo_project.serving.service import ServedModel, Service

from .test_api import (  # noqa: F401 - fixtures among them
    KEY,
    SECONDS,
    TOO_LONG,
    Row,
    body_of,
    numbers_of,
    project,
    request,
    sample,
    service,
    start_server,
    untrained,
)


def test_a_connection_may_send_one_more_request_as_the_server_stops(project: Project, sample_rows: list[Row]) -> None:
    with ExitStack() as server:
        url = httpx.URL(server.enter_context(start_server(project, API_KEYS=KEY)))
        body = body_of(sample_rows[:1])
        head = f"POST /predict HTTP/1.1\r\nHost: api\r\nX-API-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((url.host, url.port or 80), timeout=SECONDS) as connection:

            def ask() -> str | None:
                connection.sendall(head.encode() + body)
                response = HTTPResponse(connection)
                response.begin()
                response.read()
                assert response.status == 200
                return response.getheader("connection")

            assert ask() is None
            stopping = threading.Thread(target=server.close)
            stopping.start()
            # One after another, as the server that stops soon ends a connection that waits.
            while not (told := ask()):
                pass
            assert told == "close"
            stopping.join()


def test_the_path_operation_answers_as_the_fast_endpoint_in_front_of_it(
    service: Service, sample_rows: list[Row]
) -> None:
    fast, plain = create_app(service), create_app(service)
    classes: list[Any] = [each.cls for each in plain.user_middleware]
    del plain.user_middleware[classes.index(answer_fast)]

    def count(app: Any) -> float:
        return sample(request(app, "GET", "/metrics").text, "http_requests_total", 'route="/predict"')

    def ask(app: Any, *arguments: Any) -> tuple[Any, ...]:
        before = count(app)
        answer = request(app, *arguments)
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        return answer.status_code, answer.content, headers, "x-request-id" in answer.headers, count(app) - before

    for body in (body_of(sample_rows), b"{", b"", b"[" * 50_000, TOO_LONG, body_of([{"x": 1}])):
        for path in ("/predict", "/predict/"):
            for key in (KEY, "wrong", None):
                assert ask(fast, "POST", path, body, key) == ask(plain, "POST", path, body, key)


def test_what_one_request_breaks_spoils_no_other_that_is_answered_with_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, sample_rows: list[Row]
) -> None:
    score, asked = ServedModel.score, []

    def fail_at_two(self: ServedModel, rows: list[Row]) -> Any:
        asked.append(len(rows))
        if sample_rows[1] in rows:
            raise RuntimeError("the disk is on fire")
        return score(self, rows)

    async def ask() -> list[Any]:
        batcher = Batcher(service)
        bodies = (body_of(sample_rows[2:4]), b"{", body_of(sample_rows[1:2]), body_of(sample_rows[4:5]))
        return await asyncio.gather(*map(batcher.predict, bodies), return_exceptions=True)

    good_rows = sample_rows[2:5]
    expected = [service.served.predict([row])[0] for row in good_rows]
    monkeypatch.setattr(ServedModel, "score", fail_at_two)
    good, refused, failed, last = asyncio.run(ask())
    assert [type(refused), type(failed)] == [RefusedError, RuntimeError]
    assert asked[0] == 4
    answered = good[1]["predictions"] + last[1]["predictions"]
    for prediction, alone in zip(answered, expected, strict=True):
        assert prediction.get("label") == alone.get("label")
        assert numbers_of(prediction) == pytest.approx(numbers_of(alone), rel=1e-4, abs=1e-6)
