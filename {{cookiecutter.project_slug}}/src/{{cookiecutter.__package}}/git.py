"""Which code is running."""

import subprocess
from pathlib import Path


def describe_commit(folder: Path) -> str:
    """The commit that is checked out, `-dirty` behind it where code or settings differ; empty where git keeps none."""
    commit = _run_git(folder, "rev-parse", "--short=12", "--verify", "--quiet", "HEAD")
    # What the pipeline itself writes, such as metrics and pointers to data, makes no other code.
    differs = commit and _run_git(folder, "status", "--porcelain", "--", "src", "config", "pyproject.toml")
    return f"{commit}-dirty" if differs else commit


def _run_git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError:  # git is not installed
        return ""
    return done.stdout.strip()
