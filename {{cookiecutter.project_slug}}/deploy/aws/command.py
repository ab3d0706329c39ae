"""How each module here becomes a command, and runs other programs."""

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from .account import explained
from .package import ProjectError

Environment = Annotated[Literal["staging", "production"], typer.Option(help="Which infrastructure.")]


def run_command(*commands: Callable[..., None]) -> None:
    """Run a function as a command line, or several as its commands; an error is one line and gives its exit code."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    for command in commands:
        app.command()(command)
    try:
        with explained():
            app()
    except ProjectError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def run_program(*command: str, remedy: str, check: bool = True, **options: Any) -> str:
    """Run a program that says itself why it fails; what it printed, where that is captured.

    Raises ProjectError, with a remedy, where it is not here, and, unless that is not to be checked, where it fails.
    """
    # Ctrl-C reaches the program itself; here it would have it killed, Terraform with its state locked and half written.
    former = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run(command, encoding="utf-8", check=check, **options)  # noqa: S603
    except OSError as error:
        raise ProjectError(f"{command[0]} cannot be run: {error.strerror}; {remedy}.") from error
    except subprocess.CalledProcessError as error:
        called = " ".join(command[:2])
        raise ProjectError(f"`{called}` failed with exit code {error.returncode}; it says why above.") from error
    finally:
        signal.signal(signal.SIGINT, former)
    return done.stdout or ""
