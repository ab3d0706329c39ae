"""Measure the API of a generated project: `python benchmarks/serving.py PROJECT`.

PROJECT is the default project (classification, FastAPI) after `make setup` and `make pipeline`. Its API is
held against four other applications on the same machine, one worker each, all asked in turn in one run; on
Linux each server has one core and the client another:

- an ASGI application that says hello, on the same server with the same settings: the limit;
- the API itself without the ASGI endpoint in front of `/predict`, so that FastAPI's path operation answers;
- the API itself with `request_log.share: 0`, which keeps no requests for `monitor`;
- what is often written first: FastAPI, a pydantic model, a pandas row, and a scikit-learn pipeline from
  joblib, with the same kind of estimator.

One row a request over 16 connections, by wrk (`apt-get install wrk`, `brew install wrk`); uv installs pandas
for the last side.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import Request, urlopen

ROUNDS = 7
SECONDS = 3
CONNECTIONS = 16
KEY = "benchmark"
ROW = {
    "island": "Biscoe",
    "bill_length_mm": 46.1,
    "bill_depth_mm": 13.2,
    "flipper_length_mm": 211,
    "body_mass_g": 4500,
    "sex": "female",
}
UVICORN = ["--no-access-log", "--log-level", "warning", "--no-server-header", "--no-proxy-headers"]

HELLO = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})
"""

OPERATION = """
from {package}.serving.fastapi_app import Front, create_app

Front._predict = lambda front, *arguments: front._app(*arguments)
"""

TRAIN_NAIVE = """
import joblib
import pandas
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

table = pandas.read_csv("data/raw/penguins.csv")
numbers = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
categories = ["island", "sex"]
columns = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    (OneHotEncoder(handle_unknown="ignore"), categories),
)
model = make_pipeline(columns, LogisticRegression(max_iter=1000))
joblib.dump(model.fit(table[numbers + categories], table["species"]), MODEL)
"""

NAIVE = """
import joblib
import pandas
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(MODEL)


class Row(BaseModel):
    island: str
    bill_length_mm: float | None
    bill_depth_mm: float | None
    flipper_length_mm: float | None
    body_mass_g: float | None
    sex: str | None


class Rows(BaseModel):
    rows: list[Row]


@app.post("/predict")
def predict(rows: Rows, request: Request):
    if request.headers.get("X-API-Key") != KEY:
        raise HTTPException(401)
    frame = pandas.DataFrame([row.model_dump() for row in rows.rows])
    return {
        "predictions": [
            {"label": label, "probabilities": dict(zip(model.classes_, map(float, row)))}
            for label, row in zip(model.predict(frame), model.predict_proba(frame))
        ]
    }
"""


@dataclass(frozen=True)
class Side:
    """A running application, and the wrk script that asks it."""

    name: str
    url: str
    script: Path


def main() -> None:
    """Print requests a second of each side, and the ratios of the medians."""
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/serving.py PROJECT (the default project, after make pipeline)")
    for tool in ("wrk", "uv"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not on the PATH: install it (see the top of this file).")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        project = Path(sys.argv[1]).resolve()
        sides = [servers.enter_context(side) for side in start_sides(project, Path(folder))]
        rates: dict[str, list[float]] = {side.name: [] for side in sides}
        for _ in range(ROUNDS):
            for side in sides:
                rates[side.name].append(ask(side))
    hello, api, operation, unlogged, naive = (median(rates[side.name]) for side in sides)
    print("| What | Measured | Aim |\n|---|---|---|")
    print(f"| API, requests a second | {api:.0f} | |")
    print(f"| API / bare ASGI hello ({hello:.0f}) | {api / hello:.2f} | at least 0.30 |")
    print(f"| Path operation / bare ASGI hello | {operation / hello:.2f} | |")
    print(f"| API, request log on / off ({unlogged:.0f}) | {api / unlogged:.2f} | at least 0.9 |")
    print(f"| API / naive FastAPI with joblib ({naive:.0f}) | {api / naive:.0f} | at least 40 |")


def start_sides(project: Path, folder: Path) -> list[AbstractContextManager[Side]]:
    """Prepare the limit, the API, its path operation, the API without its log, and the naive application."""
    settings = f"MODEL = {str(folder / 'model.joblib')!r}\nKEY = {KEY!r}\n"
    package = next((project / "src").glob("*/cli.py")).parent.name
    operation = OPERATION.replace("{package}", package)
    sources = {"hello": HELLO, "operation": operation, "train_naive": TRAIN_NAIVE, "naive": NAIVE}
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(settings + source, encoding="utf-8")
    (folder / "ask.lua").write_text(wrk_script(), encoding="utf-8")
    python = ["uv", "run", "--quiet", "--all-extras", "--with", "pandas", "--project", str(project), "python"]
    subprocess.run([*python, folder / "train_naive.py"], cwd=project, check=True)
    uvicorn = [*python, "-m", "uvicorn", *UVICORN, "--app-dir", str(folder)]
    serve = [*python, "-m", package, "serve"]
    return [
        start("hello", [*uvicorn, "hello:app", "--lifespan", "off"], project, folder),
        start("api", serve, project, folder),
        start("operation", [*uvicorn, "operation:create_app", "--factory"], project, folder),
        start("unlogged", serve, copy_without_log(project, folder / "copy"), folder),
        start("naive", [*uvicorn, "naive:app"], project, folder),
    ]


def copy_without_log(project: Path, copy: Path) -> Path:
    """Copy what is served into a project whose requests are not logged."""
    for name in ("config", "models"):
        shutil.copytree(project / name, copy / name)
    settings = copy / "config" / "serving.yaml"
    text, changes = re.subn(r"(?m)^  share: .*$", "  share: 0", settings.read_text(encoding="utf-8"))
    if changes != 1:
        sys.exit(f"{settings} has no request_log.share: correct copy_without_log.")
    settings.write_text(text, encoding="utf-8")
    return copy


@contextmanager
def start(name: str, command: list[str], project: Path, folder: Path) -> Iterator[Side]:
    """Run an application on a free port until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    side = Side(name, f"http://127.0.0.1:{port}/predict", folder / "ask.lua")
    # scikit-learn warns the naive side at every request; printing that would slow it further.
    environment = os.environ | {"API_KEYS": KEY, "PYTHONWARNINGS": "ignore", "PROJECT_ROOT": str(project)}
    with subprocess.Popen(
        [*pinned_to(0), *command, "--port", str(port)], cwd=project, env=environment
    ) as process:
        try:
            wait_for_answer(side)
            yield side
        finally:
            process.terminate()


def wait_for_answer(side: Side, seconds: float = 60) -> None:
    """Ask once a moment until the side predicts; exit if it never does."""
    request = Request(side.url, json.dumps({"rows": [ROW]}).encode())  # noqa: S310
    request.add_header("X-API-Key", KEY)
    request.add_header("Content-Type", "application/json")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urlopen(request) as answer:  # noqa: S310
                print(f"{side.name} answers: {answer.read().decode():.100}", file=sys.stderr)
            return
        except URLError:
            time.sleep(0.1)
    sys.exit(f"{side.name} did not answer within {seconds:.0f} seconds.")


def ask(side: Side) -> float:
    """Return the requests a second that a side answered; exit if any was refused."""
    command = [
        *pinned_to(1),
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{SECONDS}",
        "-s",
        str(side.script),
        side.url,
    ]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if rate is None or "Non-2xx" in report:
        sys.exit(f"{side.name} refused requests:\n{report}")
    return float(rate[1])


def pinned_to(core: int) -> list[str]:
    """Return what keeps a command to one core, where the system can and has two."""
    return (
        ["taskset", "--cpu-list", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []
    )


def wrk_script() -> str:
    """Return the Lua that makes wrk send one row with the key."""
    return "\n".join(
        [
            'wrk.method = "POST"',
            f"wrk.body = '{json.dumps({'rows': [ROW]})}'",
            'wrk.headers["Content-Type"] = "application/json"',
            f'wrk.headers["X-API-Key"] = "{KEY}"',
        ]
    )


if __name__ == "__main__":
    main()
