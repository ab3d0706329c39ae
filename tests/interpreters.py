"""The Pythons of this machine, in the places where uv finds them and where version managers keep them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

Version = tuple[int, int]


def interpreter_for(version: str) -> Path:
    """Return a Python of this version, or the newest one of this machine that is newer.

    Raises ``LookupError`` where every Python here is older.
    """
    wanted = as_version(version)
    found = installed()
    if wanted in found:
        return found[wanted]
    newer = max((other for other in found if other > wanted), default=None)
    if newer is None:
        raise LookupError(f"No Python {version} or newer was found; install one, with pyenv for example.")
    return found[newer]


@cache
def installed() -> dict[Version, Path]:
    """Return one CPython for each minor version on this machine."""
    found: dict[Version, Path] = {}
    for candidate in candidates():
        version = version_of(candidate)
        if version:
            found.setdefault(version, candidate)
    return found


def candidates() -> Iterator[Path]:
    """Yield programs that may be a Python, the most likely first."""
    yield Path(sys.executable)
    homes = [
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions",
        Path(os.environ.get("RUNNER_TOOL_CACHE", "/opt/hostedtoolcache")) / "Python",
    ]
    for home in homes:
        for pattern in ("3.*/bin/python3", "3.*/*/bin/python3", "3.*/*/python.exe"):
            yield from sorted(home.glob(pattern), reverse=True)
    listed = subprocess.run(
        ["uv", "python", "list", "--only-installed", "--no-python-downloads"],
        capture_output=True,
        encoding="utf-8",
    )
    yield from (Path(line.split()[1]) for line in listed.stdout.splitlines() if line.startswith("cpython"))


def version_of(program: Path) -> Version | None:
    """Return the version that a program says it is, None where it is no working Python 3."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, encoding="utf-8").stdout
    except OSError:
        return None
    match = re.match(r"Python (\d+\.\d+)", said)
    return as_version(match[1]) if match else None


def as_version(text: str) -> Version:
    """Return "3.11" as (3, 11), which compares as versions do."""
    major, minor = text.split(".")
    return int(major), int(minor)
