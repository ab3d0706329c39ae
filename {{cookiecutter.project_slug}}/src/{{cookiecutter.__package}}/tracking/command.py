"""The commands that an MLflow server needs: `runs sync` and `runs ui`."""

from typing import Annotated

import typer

from ..config import find_project
from ..modeling.registry import Registry
from ..terminal import configure_logging
from .mlflow import MlflowDestination, synchronize


def sync() -> None:
    """Send to MLflow what it lacks, and point its alias `champion` at models/latest."""
    project = find_project()
    configure_logging()
    destination = MlflowDestination(project)
    count = synchronize(destination, Registry(project.models).latest())
    typer.echo(f"{count} run(s) sent to {destination.shown_uri}" if count else f"{destination.shown_uri} has all runs")


def show(port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000) -> None:
    """Show runs and models in the browser, until interrupted."""
    destination = MlflowDestination(find_project())
    if destination.artifacts is None:
        typer.echo(f"The server shows them itself: {destination.shown_uri}")
        return
    page = f"http://127.0.0.1:{port}/#/experiments/{destination.experiment}?workflowType=machine_learning"
    from mlflow.cli import cli

    typer.echo(f"Soon at {page}")
    options = ("--workers", "1", "--host", "127.0.0.1", "--port", str(port))
    cli(["server", "--backend-store-uri", destination.uri, *options])
