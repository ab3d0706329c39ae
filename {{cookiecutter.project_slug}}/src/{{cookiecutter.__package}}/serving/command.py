"""The commands that serve the API and say how to ask it."""

import os
import secrets
import socket
from typing import Annotated

import typer
from pydantic_core import to_json

from ..config import find_project, read_settings
from ..errors import ProjectError
from ..modeling.registry import Registry


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
) -> None:
    """Serve predictions over HTTP until interrupted."""
    # Here, since other commands need no web framework.
    # {% if cookiecutter.serving == "fastapi" %}
    from .fastapi_app import run
    # {% else %}
    from .flask_app import run
    # {% endif %}
    from .service import KEYS_VARIABLE, SETTINGS_FILE, ServingSettings

    read_settings(find_project().root, SETTINGS_FILE, ServingSettings)  # a worker adds a traceback to a mistake
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        problem = f"Cannot listen on {host}, port {port} ({error.strerror})"
        raise ProjectError(f"{problem}: choose others by --host and --port.") from error
    if not os.environ.get(KEYS_VARIABLE, "").strip(", "):
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise ProjectError(f"Others reach {host}: set {KEYS_VARIABLE} to one or more keys, or serve on 127.0.0.1.")
        os.environ[KEYS_VARIABLE] = key = secrets.token_urlsafe(32)
        typer.echo(f"{KEYS_VARIABLE} is empty; this key is good until the server stops: {key}")
    typer.echo(f"Try it: http://{host}:{port}/\nDocumentation: http://{host}:{port}/docs")
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
