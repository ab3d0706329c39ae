"""How each module here becomes a command."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from .package import ProjectError

Environment = Annotated[str, typer.Option(help="Which infrastructure: staging or production.")]


def run_command(command: Callable[..., None]) -> None:
    """Run a function as a command line; a `ProjectError` is printed alone and gives its exit code."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except ProjectError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
