"""The commands that serve the API and say how to ask it."""

import importlib
import ipaddress
import os
import socket
import tempfile
from typing import Annotated, Protocol, cast

import typer
from pydantic_core import to_json

from ..config import find_project, read_settings
from ..errors import ProjectError
from ..modeling.registry import Registry
from .keys import KEYS_VARIABLE, make_key, read_keys
from .requests import example_request
from .settings import SETTINGS_FILE, ServingSettings

_ADAPTERS = {"fastapi": "asgi", "flask": "wsgi"}
_MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class _Adapter(Protocol):
    def run(self, host: str, port: int, workers: int) -> None: ...


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that answer.")] = None,
) -> None:
    """Serve predictions over HTTP until interrupted; options not given come from config/serving.yaml."""
    project = find_project()
    settings = read_settings(project.root, SETTINGS_FILE, ServingSettings)
    host, port, workers = host or settings.host, port or settings.port, workers or settings.workers
    _provide_keys(host)
    _check_port(host, port)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    typer.echo(f"Documentation: {url}/docs")
    if workers > 1 and _MULTIPROCESS_VARIABLE not in os.environ:
        with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
            os.environ[_MULTIPROCESS_VARIABLE] = folder
            _adapter(settings.framework).run(host, port, workers)
    else:
        _adapter(settings.framework).run(host, port, workers)


def example() -> None:
    """Print the body of a request to /predict: a row such as the latest model, or else the schema, takes."""
    project = find_project()
    registry = Registry(project.models)
    latest = registry.latest()
    table = project.schema if latest is None else registry.manifest(latest).table
    # Bytes, since JSON is sent as UTF-8 whatever a terminal's encoding is.
    typer.echo(to_json(example_request(table)))


def _check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before a server says so in its own way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProjectError(
            f"Cannot listen on {host}, port {port} ({reason}): choose others by --host and --port."
        ) from error


def _provide_keys(host: str) -> None:
    """Make a key where only this machine can ask and none was given.

    Raises:
        ProjectError: none was given, and other machines can ask.
    """
    if read_keys(os.environ):
        return
    if not _is_loopback(host):
        raise ProjectError(
            f"{KEYS_VARIABLE} is empty, and other machines reach {host}: set {KEYS_VARIABLE} to one or more keys, "
            "separated by commas, or serve on 127.0.0.1."
        )
    key = make_key()
    # Workers are other processes, which read the keys from the environment.
    os.environ[KEYS_VARIABLE] = key
    typer.echo(f"{KEYS_VARIABLE} is empty; this key is good until the server stops: {key}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _adapter(framework: str) -> _Adapter:
    # By name, since a project has only one of the two modules.
    return cast(_Adapter, importlib.import_module(f".{_ADAPTERS[framework]}", __package__))
