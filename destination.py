"""Look at the answers and at the destination once more, right before cookiecutter writes.

What is there and not committed is never written over, and answers that came from a replay file, which skip
the check at the prompts, are checked as well. Cookiecutter loads this module as a Jinja extension: what is
refused here is shown as one message, where a pre_gen_project hook would bring a traceback, cost the start of
another Python, and be left out by ``--accept-hooks no``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

from answers import checked

PROJECT = "{{cookiecutter.project_slug}}"
"""The folder of the skeleton, whose name cookiecutter renders first."""

ALREADY_HERE = """Nothing was written: {folder} is not empty.
{reason}
{remedy}"""


class Renderable(Protocol):
    """A template, of Jinja or of this repository."""

    def render(self, *arguments: Any, **context: Any) -> str:
        """Return the text with the answers in it."""


class CheckedName:
    """The name of the project's folder, which is rendered for answers that may be asked for and no others."""

    def __init__(self, name: Renderable) -> None:
        self.name = name

    def render(self, cookiecutter: dict[str, Any], **context: Any) -> str:
        """Return the name; raises ``FailedHookException`` for wrong answers."""
        return self.name.render(cookiecutter=checked(cookiecutter), **context)


class Destination(Extension):
    """Refuse, in the one place that cookiecutter and cruft both pass, to write where work could be lost."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        make: Callable[..., Renderable] = environment.from_string
        is_new = True

        def from_string(source: str, *arguments: Any, **options: Any) -> Renderable:
            nonlocal is_new
            template = make(source, *arguments, **options)
            if source == PROJECT:
                return CheckedName(template)
            # Cookiecutter renders the whole path of the first folder in the destination before it writes
            # anything. An answer may be a path too, but while it asks there is no loader yet.
            if is_new and environment.loader and Path(source).is_absolute():
                is_new = False
                guard(Path(source).parent)
            return template

        vars(environment).update(from_string=from_string)


def guard(folder: Path) -> None:
    """Raise ``FailedHookException`` with a message where generating into ``folder`` could lose work."""
    message = refusal(folder)
    if message:
        raise FailedHookException(message)


def refusal(folder: Path) -> str | None:
    """Return why ``folder`` must not be generated into, and what to run; None where it may."""
    if not any(folder.iterdir()):
        return None
    tracked = git(folder, "ls-files")
    changes = git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".")
    if not tracked or changes is None:
        return ALREADY_HERE.format(
            folder=folder,
            reason="It has files that no git repository keeps.",
            remedy='Run "git init && git add -A && git commit -m Before" in it first, '
            "or generate into another folder with --output-dir.",
        )
    if changes:
        return ALREADY_HERE.format(
            folder=folder,
            reason=f"It has uncommitted work:\n{changes}",
            remedy='Run "git add -A && git commit -m Before" in it first.',
        )
    return None


def git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints in ``folder``; None where it fails or is not installed."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.rstrip() if done.returncode == 0 else None
