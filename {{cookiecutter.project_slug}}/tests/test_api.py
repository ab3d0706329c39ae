"""The API: asked over HTTP as its users do, and each guard by itself."""

# {% if cookiecutter.serving == "fastapi" %}
import asyncio
# {% endif %}
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
# {% if cookiecutter.serving == "fastapi" %}
from pydantic import ValidationError
# {% else %}
from pydantic import BaseModel, ValidationError
# {% endif %}

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.manifest import MANIFEST_FILE
from {{ cookiecutter.__package }}.modeling.model import Model
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.schema import Column, Schema
from {{ cookiecutter.__package }}.serving.command import example, serve
# {% if cookiecutter.serving == "fastapi" %}
from {{ cookiecutter.__package }}.serving.fastapi_app import TheService, create_app, keyed
# {% else %}
from {{ cookiecutter.__package }}.serving.flask_app import create_app, get_service, keyed
# {% endif %}
from {{ cookiecutter.__package }}.serving.rows import (
    Error,
    RefusedError,
    make_predictions,
    make_request_type,
    refuse_body,
)
from {{ cookiecutter.__package }}.serving.service import Service

from .toys import change_config, copy_version, wait_until

KEY = "first-key"
OTHER_KEY = "other-key"
SECONDS = 60
"""How long to wait for a server on a machine that is busy."""
MAXIMUM_ROWS = 20
MAXIMUM_BODY_BYTES = 100_000
TOO_LONG = b" " * (MAXIMUM_BODY_BYTES + 1)
ANYONE = httpx.Client(headers={"Connection": "close"}, timeout=SECONDS)
"""Has no key, and comes with a new connection each time."""

Row = dict[str, Any]

TABLE = Schema(
    task="regression",
    target="target",
    columns={
        "target": Column(type="number"),
        "size": Column(type="number", minimum=0, maximum=10),
        "count": Column(type="integer"),
        "sold": Column(type="boolean"),
        "kind": Column(type="category", categories=("one", "two")),
        "note": Column(type="number", nullable=True),
        "price": Column(type="integer", minimum=0, maximum=9, unseen="take"),
        "colour": Column(type="category", categories=("red", "blue"), unseen="take", nullable=True),
        "when": Column(type="timestamp", format="%d.%m.%Y"),
        "remark": Column(type="text"),
        "name": Column(type="category", categories=("a",), role="identifier"),
    },
)
REQUEST: Any = make_request_type(TABLE, 2)
GOOD_ROW: Row = {"size": 1.5, "count": 2, "sold": True, "kind": "one", "note": None, "price": 3, "colour": "red"}
GOOD_ROW |= {"when": "31.12.2024", "remark": "Hello"}
WRONG_VALUES: dict[str, list[object]] = {
    "size": [None, "1", True, -0.1, 10.1, float("nan"), float("inf"), 10**400, [], {}],
    "count": [None, "2", True, 2.5, float("nan"), 10**30, [], {}],
    "sold": [None, 2, "maybe", "", [], {}],
    "kind": [None, "three", "One", 1, True, [], {}],
    "note": ["", "NA", False, float("nan"), [], {}],
    "price": [None, "3", 2.5, 10**400, []],
    "colour": [1, True, []],
    "when": [None, "", "31.12.", "2024-13-01", 20241231, []],
    "remark": [None, 1, []],
    "target": [1.0],
    "name": ["a"],
    "unheard of": [1],
}


# {% if cookiecutter.serving == "fastapi" %}
@keyed.post("/echo/{name}")
async def echo(name: str, service: TheService, body: dict[str, int]) -> dict[str, Any]:
    """A route of one's own."""
    return {"name": name, "version": service.served.manifest.version, "body": body}
# {% else %}
class Name(BaseModel):
    name: str


class Body(BaseModel):
    a: int


@keyed.post("/echo/<name>")
def echo(path: Name, body: Body) -> dict[str, Any]:
    """A route of one's own."""
    return {"name": path.name, "version": get_service().served.manifest.version, "body": body.model_dump()}
# {% endif %}


@pytest.fixture(scope="module")
def project(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the trained project, whose pointer the tests may move, with small limits."""
    root = tmp_path_factory.mktemp("served") / "project"
    shutil.copytree(trained.root, root)
    limits = {"maximum_rows": MAXIMUM_ROWS, "maximum_body_bytes": MAXIMUM_BODY_BYTES}
    return change_config(Project(root), "serving", reload_seconds=0.1, **limits)


@pytest.fixture
def untrained(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project without a model, in which commands run."""
    shutil.copytree(project.root / "config", tmp_path / "config")
    monkeypatch.setenv("PROJECT_ROOT", str(tmp_path))
    return Project(tmp_path)


@pytest.fixture(scope="module")
def client(project: Project) -> Iterator[httpx.Client]:
    """A client with a good key, of a server with two keys."""
    with (
        start_server(project, API_KEYS=f" {KEY} ,,{OTHER_KEY}") as url,
        httpx.Client(base_url=url, headers={"X-API-Key": KEY}, timeout=SECONDS) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def service(project: Project) -> Iterator[Service]:
    """The service without a server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("API_KEYS", KEY)
        yield Service(project)


@contextmanager
def start_server(project: Project, *options: str, **environment: str) -> Iterator[str]:
    """Run the `serve` command until the block ends; gives the server's address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "{{ cookiecutter.__package }}", "serve", "--port", str(port), *options]
    variables = {name: value for name, value in os.environ.items() if name != "API_KEYS"}
    with (
        (project.root / "server.txt").open("wb") as output,
        subprocess.Popen(
            command,
            env=variables | {"PROJECT_ROOT": str(project.root), "PYTHONUNBUFFERED": "1"} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: process.poll() is not None or is_live(url), 120)
            assert process.poll() is None, server_output(project)
            yield url
        finally:
            process.terminate()
            # A server that does not stop is a failure, and must not hold up the other tests.
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def server_output(project: Project) -> str:
    return (project.root / "server.txt").read_text(encoding="utf-8")


def is_live(url: str) -> bool:
    with suppress(httpx.TransportError):
        return ANYONE.get(f"{url}/health/live").status_code == 200
    return False


def request(app: Any, method: str, path: str, body: bytes = b"", key: str | None = KEY) -> httpx.Response:
    """Ask an application without a server."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"X-API-Key": key})
    # {% if cookiecutter.serving == "fastapi" %}

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            return await client.request(method, path, content=body, headers=headers)

    return asyncio.run(ask())
    # {% else %}
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://api") as client:
        return client.request(method, path, content=body, headers=headers)
    # {% endif %}


def body_of(rows: list[Row]) -> bytes:
    return json.dumps({"rows": rows}).encode()


def refusal_of(service: Service, body: bytes) -> Error:
    with pytest.raises(RefusedError) as refusal:
        service.predict(body)
    assert refusal.value.status == 422
    return refusal.value.error


def errors_of(rows: list[Row]) -> list[tuple[int | None, str | None]]:
    with pytest.raises(ValidationError) as refusal:
        REQUEST.model_validate_json(body_of(rows))
    errors = refuse_body(refusal.value.errors()).error.errors
    assert all(error.message for error in errors)
    return [(error.row, error.column) for error in errors]


def numbers_of(prediction: dict[str, Any]) -> list[float]:
    return list(prediction["probabilities"].values()) if "label" in prediction else [prediction["value"]]


def assert_is_error(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status
    assert {name: type(value) for name, value in answer.json().items()} == {"detail": str, "errors": list}


def sample(metrics: str, name: str, *labels: str) -> float:
    """The sum of a metric's samples that have all of `labels`."""
    lines = (line for line in metrics.splitlines() if re.match(rf"{name}\W", line))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(label in line for label in labels))


def test_each_row_gets_the_prediction_that_it_gets_alone(client: httpx.Client, sample_rows: list[Row]) -> None:
    rows = sample_rows[:5]
    together = client.post("/predict", json={"rows": rows}).json()["predictions"]
    alone = [client.post("/predict", json={"rows": [row]}).json()["predictions"][0] for row in rows]
    for prediction, expected in zip(together, alone, strict=True):
        assert prediction.get("label") == expected.get("label")
        assert numbers_of(prediction) == pytest.approx(numbers_of(expected), rel=1e-4, abs=1e-6)


def test_a_prediction_has_the_form_of_its_task(client: httpx.Client, project: Project, sample_rows: list[Row]) -> None:
    answer = client.post("/predict", json={"rows": sample_rows[:1]})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"model_version", "predictions"}
    labels = project.schema.labels
    for prediction in answer.json()["predictions"]:
        if labels:
            assert set(prediction["probabilities"]) == set(labels)
            assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-4)
            assert prediction["label"] == max(labels, key=prediction["probabilities"].__getitem__)
        else:
            assert isinstance(prediction["value"], float)


@pytest.mark.parametrize("path", ["/predict", "/model"])
@pytest.mark.parametrize("keys", [[], [""], ["wrong"], [f"{KEY},{OTHER_KEY}"], [KEY, OTHER_KEY]])
def test_without_one_good_key_the_answer_is_401(client: httpx.Client, path: str, keys: list[str]) -> None:
    headers = [("X-API-Key", key) for key in keys]
    method = "POST" if path == "/predict" else "GET"
    assert_is_error(ANYONE.request(method, client.base_url.join(path), headers=headers, content=b"{"), 401)


def test_without_keys_no_key_is_good(untrained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", " , ")
    for key in ("", KEY):
        with pytest.raises(RefusedError, match="good key"):
            Service(untrained).check_key(key)


@pytest.mark.usefixtures("untrained")
def test_serve_refuses_other_addresses_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_KEYS", raising=False)
    with pytest.raises(ProjectError, match="API_KEYS"):
        serve(host="0.0.0.0")


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"])
def test_health_metrics_and_documentation_need_no_key(client: httpx.Client, path: str) -> None:
    assert ANYONE.get(client.base_url.join(path)).status_code == 200


def test_a_row_may_have_whole_numbers_as_fractions_and_leave_out_what_may_be_missing() -> None:
    for row in (GOOD_ROW, GOOD_ROW | {"count": 2.0}):
        assert REQUEST.model_validate_json(body_of([row])).rows == [GOOD_ROW]
    row = {name: value for name, value in GOOD_ROW.items() if name != "note"}
    assert REQUEST.model_validate_json(body_of([row])).rows == [row]


def test_a_row_without_its_columns_is_refused_for_each_that_is_required() -> None:
    required = ["size", "count", "sold", "kind", "price", "when", "remark"]
    assert errors_of([{}]) == [(0, name) for name in required]


def test_a_row_may_say_what_a_file_may_and_what_the_schema_has_not_seen_where_it_is_taken() -> None:
    for value in (1, "yes", "TRUE", "t", "1"):
        assert REQUEST.model_validate_json(body_of([GOOD_ROW | {"sold": value}])).rows == [GOOD_ROW]
    for taken in ({"sold": "No", "price": -5}, {"price": 1000, "colour": "green"}, {"when": "2024-05-01"}):
        assert REQUEST.model_validate_json(body_of([GOOD_ROW | taken]))
    properties = REQUEST.model_json_schema()["$defs"]["Row"]["properties"]
    assert [properties[name]["examples"] for name in ("price", "colour")] == [[0, 9], ["red", "blue"]]
    assert "enum" not in str(properties["colour"])
    assert "maximum" not in properties["price"]


@pytest.mark.parametrize("column", WRONG_VALUES)
def test_a_wrong_value_is_refused_by_row_and_column(column: str) -> None:
    for value in WRONG_VALUES[column]:
        assert errors_of([GOOD_ROW, GOOD_ROW | {column: value}]) == [(1, column)], value


def test_a_long_list_of_errors_is_cut(service: Service) -> None:
    unknown = {f"unknown {number}": number for number in range(1000)}
    assert len(refusal_of(service, body_of([unknown])).errors) == 100


def test_too_many_rows_are_refused_with_the_limit(service: Service, sample_rows: list[Row]) -> None:
    error = refusal_of(service, body_of(sample_rows[:1] * (MAXIMUM_ROWS + 1)))
    assert str(MAXIMUM_ROWS) in error.errors[0].message


def test_unknown_paths_and_wrong_methods_are_refused(client: httpx.Client) -> None:
    assert_is_error(client.get("/nowhere"), 404)
    answer = client.get("/predict")
    assert_is_error(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_without_a_model_it_is_live_but_not_ready(
    untrained: Project, monkeypatch: pytest.MonkeyPatch, sample_rows: list[Row]
) -> None:
    monkeypatch.setenv("API_KEYS", KEY)
    app = create_app(Service(untrained))
    paths = ("/health/live", "/health/ready", "/openapi.json", "/model")
    assert [request(app, "GET", path).status_code for path in paths] == [200, 503, 200, 503]
    assert_is_error(request(app, "POST", "/predict", body_of(sample_rows[:1])), 503)


def test_model_is_the_manifest_of_the_version_to_every_good_key(client: httpx.Client, project: Project) -> None:
    manifest = client.get("/model", headers={"X-API-Key": OTHER_KEY}).json()
    stored = Registry(project.models).folder(manifest["version"]) / "manifest.json"
    assert manifest == json.loads(stored.read_text(encoding="utf-8"))


def test_the_documentation_tells_of_the_row_and_has_a_request(client: httpx.Client, project: Project) -> None:
    document = client.get("/openapi.json").json()
    request = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/predict", json=request).status_code == 200
    row, features = document["components"]["schemas"]["Row"], project.schema.features
    assert list(row["properties"]) == list(features)
    assert row["required"] == [name for name, column in features.items() if not column.nullable]


def test_the_example_command_prints_what_the_served_version_or_else_the_schema_takes(
    client: httpx.Client,
    project: Project,
    untrained: Project,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    example()
    assert make_request_type(untrained.schema, 1).model_validate_json(capfdbinary.readouterr().out)
    monkeypatch.setenv("PROJECT_ROOT", str(project.root))
    example()
    assert client.post("/predict", content=capfdbinary.readouterr().out).status_code == 200


def test_the_key_is_in_no_log(client: httpx.Client, project: Project) -> None:
    client.post("/predict", content=b"{")
    log = (project.logs / "inference.log").read_text(encoding="utf-8")
    assert "Serving v" in log
    assert KEY not in log + server_output(project)


@pytest.mark.parametrize(("labels", "scores"), [(("a", "b"), [[0.5, 0.5], [np.nan, 0.5]]), ((), [1.0, np.inf])])
def test_a_row_without_a_finite_answer_is_refused(labels: tuple[str, ...], scores: list[Any]) -> None:
    with pytest.raises(RefusedError) as refusal:
        make_predictions(np.array(scores), labels)
    assert [error.row for error in refusal.value.error.errors] == [1]


def test_the_label_is_that_whose_weighed_probability_is_largest() -> None:
    chosen = make_predictions(np.array([[0.75, 0.25], [0.875, 0.125]]), ("no", "yes"), weights=(0.2, 0.8))
    assert [each["label"] for each in chosen] == ["yes", "no"]
    assert chosen[0]["probabilities"] == {"no": 0.75, "yes": 0.25}


def follow(service: Service, version: str) -> None:
    # Its thread may have begun to load it.
    service.refresh()
    wait_until(lambda: service.served.manifest.version == version)


def test_an_unexpected_error_is_500_and_logged(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sample_rows: list[Row]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(Model, "predict", fail)
    assert_is_error(request(create_app(service), "POST", "/predict", body_of(sample_rows[:1])), 500)
    assert "the disk is on fire" in caplog.text


def test_a_route_of_ones_own_has_a_key_documentation_counts_and_a_limit(service: Service) -> None:
    app = create_app(service)

    def post(content: bytes, key: str | None = KEY) -> httpx.Response:
        return request(app, "POST", "/echo/x", content, key)

    assert post(b'{"a": 1}').json() == {"name": "x", "version": service.served.manifest.version, "body": {"a": 1}}
    for content, key, status in ((b'{"a": 1}', None, 401), (b'{"a": "one"}', KEY, 422), (TOO_LONG, KEY, 413)):
        assert_is_error(post(content, key), status)
    operation = request(app, "GET", "/openapi.json").json()["paths"]["/echo/{name}"]["post"]
    assert operation["security"]
    assert "401" in operation["responses"]
    assert sample(request(app, "GET", "/metrics").text, "http_requests_total", "/echo/", 'status="200"') == 1


def test_a_promoted_model_is_served_without_a_failed_request(
    client: httpx.Client, project: Project, sample_rows: list[Row]
) -> None:
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(client.post("/predict", json={"rows": sample_rows[:1]}).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        wait_until(lambda: statuses)
        version = copy_version(project)
        Registry(project.models).move_latest(version, "test")
        wait_until(lambda: client.get("/health/ready").json()["model_version"] == version)
    finally:
        stop.set()
        asking.join()
    assert set(statuses) == {200}
    shown = client.get("/metrics").text
    assert sample(shown, "model_info", f'version="{version}"') == sample(shown, "model_info") == 1


def test_a_damaged_version_leaves_the_former_one_served(untrained: Project, project: Project) -> None:
    shutil.copytree(project.models, untrained.models)
    registry, service = Registry(untrained.models), Service(untrained)
    served = service.served
    damaged = copy_version(untrained)
    (registry.folder(damaged) / next(iter(served.manifest.files))).write_bytes(b"damaged")
    registry.move_latest(damaged, "test")
    service.refresh()
    assert service.served is served
    repaired = copy_version(untrained)
    registry.move_latest(repaired, "test")
    follow(service, repaired)


def test_a_version_of_another_table_waits_for_a_restart(untrained: Project, project: Project) -> None:
    shutil.copytree(project.models, untrained.models)
    registry, service = Registry(untrained.models), Service(untrained)
    served = service.served
    other = copy_version(untrained)
    path = registry.folder(other) / MANIFEST_FILE
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["table"]["columns"][project.schema.target]["description"] = "Seen another way"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    registry.move_latest(other, "test")
    service.refresh()
    assert service.served is served
    assert f"{other} has another table" in (untrained.logs / "inference.log").read_text(encoding="utf-8")
    follow(Service(untrained), other)
