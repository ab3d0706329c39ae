"""The commands that serve the API and say how to ask it."""

import ipaddress
import os
import secrets
import socket
from typing import Annotated

import typer
from pydantic_core import to_json

from ..config import find_project, read_settings
from ..errors import ProjectError
from ..modeling.registry import Registry
from .settings import KEYS_VARIABLE, SETTINGS_FILE, ServingSettings, read_keys


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
) -> None:
    """Serve predictions over HTTP until interrupted; options not given come from config/serving.yaml."""
    settings = read_settings(find_project().root, SETTINGS_FILE, ServingSettings)
    host, port = host or settings.host, port or settings.port
    _check_address(host, port)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    typer.echo(f"Try it: {url}/\nDocumentation: {url}/docs")
    # Here, since other commands need no web framework.
    # {% if cookiecutter.serving == "fastapi" %}
    from .fastapi_app import run
    # {% else %}
    from .flask_app import run
    # {% endif %}

    run(host, port)


def example() -> None:
    """Print the body of a request to /predict: a row such as the latest model, or else the schema, takes."""
    from .rows import example_row

    project = find_project()
    registry = Registry(project.models)
    latest = registry.latest()
    manifest = registry.manifest(latest) if latest else None
    row = example_row(manifest.table, manifest.typical) if manifest else example_row(project.schema, {})
    # Bytes, since JSON is sent as UTF-8 whatever a terminal's encoding is.
    typer.echo(to_json({"rows": [row]}))


def _check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, or that others reach without a key; make one for this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as server:
            is_local = ipaddress.ip_address(server.getsockname()[0]).is_loopback
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProjectError(
            f"Cannot listen on {host}, port {port} ({reason}): choose others by --host and --port."
        ) from error
    if read_keys():
        return
    if not is_local:
        raise ProjectError(
            f"{KEYS_VARIABLE} is empty, and other machines reach {host}: set {KEYS_VARIABLE} to one or more keys, "
            "separated by commas, or serve on 127.0.0.1."
        )
    os.environ[KEYS_VARIABLE] = key = secrets.token_urlsafe(32)
    typer.echo(f"{KEYS_VARIABLE} is empty; this key is good until the server stops: {key}")
