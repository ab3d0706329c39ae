"""What the image's `start.py` makes of Lambda's events, and of what it is answered."""

from __future__ import annotations

import base64
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from combinations import default_combination
from composing import composer


class Api(BaseHTTPRequestHandler):
    """Answers with what it was asked, or as the path says."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/slow":
            time.sleep(1)
        if self.path == "/gone":
            self.connection.close()
            return
        self.send_response(201)
        for name, value in (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Vary", "a"), ("Vary", "b")):
            self.send_header(name, value)
        self.send_header("Asked", f"{self.path} {self.headers['Cookie']} {self.headers['X-Many']}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def load(**answers: str) -> ModuleType:
    """Load the script of a project with the API's containers."""
    composed = composer().compose({**default_combination(), "containers": "docker", **answers})
    module = ModuleType("start")
    exec(composed.contents["deploy/docker/start.py"].data.decode(), vars(module))  # noqa: S102 - this template's
    return module


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Load the script with something on the API's port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PORT", str(server.server_port))
    yield load()
    server.shutdown()
    server.server_close()


def event(path: str, body: str = "", **more: Any) -> dict[str, Any]:
    context = {"http": {"method": "POST", "path": path}, "stage": "$default"}
    return {
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "body": body,
        "requestContext": context,
    } | more


def test_the_request_is_the_event(start: ModuleType) -> None:
    headers = {"content-length": "99", "x-many": "1,2"}
    asked = event("/a b", "{}", rawQueryString="c=d%20e", headers=headers, cookies=["f=1", "g=2"])
    answer = start.ask(asked, 5)
    assert answer["headers"]["asked"] == "/a%20b?c=d%20e f=1; g=2 1,2"
    assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (201, "{}", False)


def test_cookies_come_apart_and_other_headers_together(start: ModuleType) -> None:
    answer = start.ask(event("/"), 5)
    assert answer["cookies"] == ["a=1", "b=2"]
    assert answer["headers"]["vary"] == "a, b"
    assert "set-cookie" not in answer["headers"]


def test_bytes_that_are_no_text_go_both_ways_in_base64(start: ModuleType) -> None:
    body = base64.b64encode(b"\xff\x00").decode()
    answer = start.ask(event("/", body, isBase64Encoded=True), 5)
    assert (answer["body"], answer["isBase64Encoded"]) == (body, True)


def test_the_stage_of_an_api_is_no_part_of_the_path(start: ModuleType) -> None:
    asked = event("/prod/predict")
    asked["requestContext"]["stage"] = "prod"
    assert start.ask(asked, 5)["headers"]["asked"].startswith("/predict ")


@pytest.mark.parametrize(("path", "status"), [("/slow", 504), ("/gone", 502)])
def test_where_there_is_no_answer_in_time_the_client_hears_so(
    start: ModuleType, path: str, status: int
) -> None:
    answer = start.ask(event(path), 0.2)
    assert answer["statusCode"] == status
    assert answer["body"].startswith('{"detail": ')


def test_a_function_takes_its_keys_from_the_secret_that_it_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start, started = start_on_aws(monkeypatch, tmp_path, lambda arn: f"key-of-{arn}")
    with pytest.raises(SystemExit):
        start.serve()
    assert started == ["key-of-arn"]


def test_a_function_says_which_secret_it_cannot_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: str) -> str:
        raise OSError("400 AccessDeniedException")

    start, started = start_on_aws(monkeypatch, tmp_path, refuse)
    with pytest.raises(SystemExit, match="keys in arn cannot be read: 400 AccessDenied"):
        start.serve()
    assert started == []


def start_on_aws(
    monkeypatch: pytest.MonkeyPatch, folder: Path, read: Callable[[str], str]
) -> tuple[ModuleType, list[str]]:
    """Load the script as Lambda starts it; the list is told the keys that an API is started with."""
    secrets_manager = ModuleType("secrets_manager")
    vars(secrets_manager)["read_secret"] = read
    monkeypatch.setitem(sys.modules, "secrets_manager", secrets_manager)
    for name, value in {
        "AWS_LAMBDA_RUNTIME_API": "nowhere",
        "API_KEYS_SECRET": "arn",
        "API_KEYS": "",
    }.items():
        monkeypatch.setenv(name, value)
    module, started = load(cloud="aws"), list[str]()

    def popen(*_: Any) -> None:
        started.append(os.environ["API_KEYS"])
        sys.exit(0)

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    vars(module).update(DRAIN_FILE=folder / "draining", tell=lambda *_: None)
    return module, started
