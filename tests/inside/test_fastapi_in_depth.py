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
from demo_project.serving.fastapi_app import Batcher
from demo_project.serving.rows import RefusedError
from demo_project.serving.service import ServedModel, Service

from .test_api import (  # noqa: F401 - fixtures among them
    KEY,
    Row,
    body_of,
    is_live,
    numbers_of,
    project,
    service,
    start_server,
    untrained,
)
from .toys import wait_until


def test_a_connection_may_send_one_more_request_as_the_server_stops(project: Project, sample_rows: list[Row]) -> None:
    with ExitStack() as server:
        url = httpx.URL(server.enter_context(start_server(project, API_KEYS=KEY)))
        body = body_of(sample_rows[:1])
        head = f"POST /predict HTTP/1.1\r\nHost: api\r\nX-API-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
            for closing in (None, "close"):
                if closing:
                    stopping = threading.Thread(target=server.close)
                    stopping.start()
                    # The server takes no new connection.
                    wait_until(lambda: not is_live(str(url)))
                connection.sendall(head.encode() + body)
                response = HTTPResponse(connection)
                response.begin()
                response.read()
                assert (response.status, response.getheader("connection")) == (200, closing)
            stopping.join()


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
