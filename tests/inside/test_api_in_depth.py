"""The API, asked what its users seldom ask, by connections of every kind."""

import json
import os
import re
import socket
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from demo_project.config import Project
from demo_project.errors import ProjectError
from demo_project.serving.command import serve
from demo_project.serving.rows import RefusedError
from demo_project.serving.service import Service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .test_api import (  # noqa: F401 - fixtures among them
    ANYONE,
    KEY,
    SECONDS,
    TOO_LONG,
    Row,
    body_of,
    client,
    project,
    refusal_of,
    sample,
    server_output,
    service,
    start_server,
)

NOT_FOR_SERVING = (
    "joblib",
    "matplotlib",
    "onnx",
    "pandas",
    "polars",
    "scipy",
    "skl2onnx",
    "sklearn",
)


def connect(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=SECONDS)


def test_serve_refuses_a_port_that_is_taken(client: httpx.Client) -> None:
    with pytest.raises(ProjectError, match="--port"):
        serve(host="127.0.0.1", port=client.base_url.port or 80)


def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(client: httpx.Client) -> None:
    with connect(client) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: api\r\nX-API-Key: {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + f"{len(TOO_LONG):x}\r\n".encode() + TOO_LONG + b"\r\n")
        # The last chunk is never sent: an answer means that the server did not wait for it.
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_connection_goes_on_after_errors(client: httpx.Client, sample_rows: list[Row]) -> None:
    with connect(client) as connection:
        for key, path, body, status in (
            ("wrong", "/predict", body_of(sample_rows), 401),
            (KEY, "/nowhere", body_of(sample_rows), 404),
            (KEY, "/predict", b"{", 422),
            (KEY, "/predict", body_of(sample_rows[:1]), 200),
        ):
            head = f"POST {path} HTTP/1.1\r\nHost: api\r\nX-API-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            response = HTTPResponse(connection)
            response.begin()
            response.read()
            assert response.status == status


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_from_elsewhere(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.text.strip().lower().startswith("<!doctype html>")
    assert not re.search(r"https?://|@import", page.text)
    for link in re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text):
        assert client.get(f"/{link.lstrip('/')}").status_code == 200, link


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_body_makes_the_server_fail(service: Service, sample_rows: list[Row], data: st.DataObject) -> None:
    row = sample_rows[0]
    odd_row = st.fixed_dictionaries({}, optional={name: JSON | st.just(value) for name, value in row.items()})
    rows = st.fixed_dictionaries({"rows": st.lists(odd_row, max_size=3)})
    body = data.draw(st.binary() | (JSON | rows).map(lambda value: json.dumps(value).encode()))
    with suppress(RefusedError):
        service.predict(body)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"rows", b"[]", b"null", b"{}", b'{"rows": {}}', b'{"rows": []}', b'{"rows": [1]}'),
        b'{"rows": [], "x": 1}',
        b'{"rows": [{"\\ud800": 1}]}',
        b'{"rows": "\xff\xfe"}',
        b'{"rows": ' * 5000,
        b"[" * 50_000,
        b'{"rows": [' + b"9" * 50_000 + b"]}",
        b'\xef\xbb\xbf{"rows": []}',
    ],
)
def test_a_body_of_another_form_is_refused_briefly(service: Service, body: bytes) -> None:
    assert len(refusal_of(service, body).model_dump_json()) < 2000


def test_a_server_needs_nothing_that_trains_and_prints_a_key_where_there_is_none(
    project: Project, tmp_path: Path, sample_rows: list[Row]
) -> None:
    for name in NOT_FOR_SERVING:
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not for serving')\n", encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with start_server(project, PYTHONPATH=paths) as url:
        found = re.search(r"until the server stops: (\S+)", server_output(project))
        assert found
        for _ in range(20):
            answer = ANYONE.post(f"{url}/predict", json={"rows": sample_rows[:2]}, headers={"X-API-Key": found[1]})
            assert answer.status_code == 200
        metrics = ANYONE.get(f"{url}/metrics").text
    assert sample(metrics, "http_requests_total", 'route="/predict"', 'status="200"') == 20
    assert sample(metrics, "predictions_total" if project.schema.labels else "prediction_value_count") == 40
