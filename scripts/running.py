"""Run a generated project from outside, as its user would: commands, the server, a prediction."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PENGUIN: dict[str, object] = {
    "species": "Adelie",
    "island": "Torgersen",
    "bill_length_mm": 39.1,
    "bill_depth_mm": 18.7,
    "flipper_length_mm": 181,
    "body_mass_g": 3750,
    "sex": "male",
}
"""The first row of the sample table."""

TARGETS = {"classification": "species", "regression": "body_mass_g"}
"""The column that the sample model of each task predicts."""

OWN = {
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "UV",
    "UV_RUN_RECURSION_DEPTH",
    "VIRTUAL_ENV",
}
"""Variables through which the template's own tools would reach into a project, or slow each start of it."""


def environment(**more: str) -> dict[str, str]:
    """Return the user's environment, with uv of the template's own environment where there is no other."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in OWN and not name.startswith("PYTEST_")
    }
    path = os.pathsep.join([kept.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    return {**kept, "PATH": path, **more}


def unseen_penguin(task: str) -> dict[str, object]:
    """Return a row as a client sends it, without the column to predict."""
    return {column: value for column, value in PENGUIN.items() if column != TARGETS[task]}


@contextmanager
def served(
    project: Path, key: str, variables: Mapping[str, str] | None = None, timeout: float = 60
) -> Iterator[str]:
    """Serve a trained project on a free port of loopback and give the server's address.

    Waits at most ``timeout`` seconds; raises ``RuntimeError`` with what the server printed where it
    stops or is not ready by then. The server is stopped at the end.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    log = project / "logs" / "server.log"
    log.parent.mkdir(exist_ok=True)
    command = ["uv", "run", "--no-sync", project.name, "serve", "--port", str(port)]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=project,
            env=environment(API_KEYS=key, **(variables or {})),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + timeout
            while ask(f"{address}/health/ready")[0] != 200:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{' '.join(command)} is not ready:\n{log.read_text(encoding='utf-8')}"
                    )
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def predict(address: str, key: str | None, row: Mapping[str, object]) -> tuple[int, Any]:
    """Ask for one prediction; return the HTTP status and the JSON answer."""
    headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
    return ask(f"{address}/predict", json.dumps({"rows": [row]}).encode(), headers)


def ask(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Send one request; return the status, 0 where nobody listens, and the JSON answer or None."""
    try:
        with urlopen(Request(url, body, dict(headers or {})), timeout=10) as response:  # noqa: S310
            return response.status, json_or_none(response.read())
    except HTTPError as refusal:
        return refusal.code, json_or_none(refusal.read())
    except OSError:  # also where a proxy takes the call before anybody listens behind it
        return 0, None


def json_or_none(body: bytes) -> Any:
    """Return the JSON value in ``body``; None where it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
