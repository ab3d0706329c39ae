"""The commands of data versioning."""

from typing import Annotated

import typer

from ..config import find_project
from ..terminal import configure_logging
from . import sharing, stages
from .remotes import add_remote, list_missing, require_remote

remote = typer.Typer(help="Set up where data and models are shared.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the package's own."""
    for function in (repro, push, pull):
        app.command()(function)
    app.add_typer(remote, name="remote")


def repro() -> None:
    """As `pipeline`, through DVC: only stages whose dependencies changed are run."""
    project = find_project()
    configure_logging(project.logs / "training.log")
    typer.echo(stages.reproduce(project))


def push() -> None:
    """Send raw data, models and what the stages made to the remote."""
    typer.echo(f"{sharing.push(find_project()).url} has everything")


def pull() -> None:
    """Fetch what this commit points at from the remote, and put it in place."""
    typer.echo(f"Everything is here, from {sharing.pull(find_project()).url}")


@remote.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://…, azure://…, gs://… or the path of a folder.")],
    endpoint: Annotated[str | None, typer.Option(help="Where an S3 or Google compatible server listens.")] = None,
    region: Annotated[str | None, typer.Option(help="Region of an S3 bucket.")] = None,
    account: Annotated[str | None, typer.Option(help="Azure storage account.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Give up the remote that is set up.")] = False,
) -> None:
    """Make URL the remote, in .dvc/config; credentials stay out of it."""
    given = {"endpoint": endpoint, "region": region, "account": account}
    options = {name: value for name, value in given.items() if value is not None}
    added = add_remote(find_project(), url, options, replace)
    typer.echo(f"The remote is {added.url}; commit .dvc/config. It needs {added.cloud.credentials}.")


@remote.command()
def check() -> None:
    """Ask the remote what it lacks of what this commit points at."""
    project = find_project()
    found = require_remote(project)
    missing = list_missing(project)
    for name in missing:
        typer.echo(f"not there yet: {name}")
    typer.echo(f"{found.url} answers; it lacks {len(missing)} of the files and folders that this machine has")
