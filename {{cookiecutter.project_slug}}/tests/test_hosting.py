"""What the image asks of the API: SageMaker's routes, and an end that loses nothing."""

# {% if cookiecutter.serving == "fastapi" %}
import asyncio
# {% endif %}
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from {{ cookiecutter.__package }}.config import Project
# {% if cookiecutter.serving == "fastapi" %}
from {{ cookiecutter.__package }}.serving.fastapi_app import create_app
# {% else %}
from {{ cookiecutter.__package }}.serving.flask_app import create_app
# {% endif %}
from {{ cookiecutter.__package }}.serving.service import Service


@pytest.fixture
def project(trained: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("API_KEYS", "key")
    return trained


def ask(project: Project, method: str, path: str, body: bytes = b"") -> httpx.Response:
    """Ask an application of its own without a key."""
    app: Any = create_app(Service(project))
    # {% if cookiecutter.serving == "fastapi" %}

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            return await client.request(method, path, content=body)

    return asyncio.run(ask())
    # {% else %}
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://api") as client:
        return client.request(method, path, content=body)
    # {% endif %}


def test_sagemaker_needs_no_key_on_its_routes(
    project: Project, monkeypatch: pytest.MonkeyPatch, sample_rows: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "8080")
    body = json.dumps({"rows": sample_rows[:1]}).encode()
    assert ask(project, "POST", "/invocations", body).json()["model_version"] == "v1"
    assert ask(project, "GET", "/ping").status_code == 200
    assert ask(project, "POST", "/predict", body).status_code == 401


def test_elsewhere_there_are_no_such_routes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGEMAKER_BIND_TO_PORT", raising=False)
    assert ask(project, "GET", "/ping").status_code == 404
    assert ask(project, "POST", "/invocations").status_code == 404


def test_answers_close_their_connection_once_the_end_is_near(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DRAIN_FILE", str(tmp_path / "draining"))
    assert "connection" not in ask(project, "GET", "/health/live").headers
    (tmp_path / "draining").touch()
    answer = ask(project, "GET", "/health/live")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
