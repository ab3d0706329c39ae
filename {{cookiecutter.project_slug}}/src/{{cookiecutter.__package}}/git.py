"""Which code is running."""

import subprocess
from pathlib import Path


def describe_commit(folder: Path) -> str:
    """The commit that is checked out, `-dirty` behind it where files differ; empty where git keeps none."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:  # git is not installed
        return ""
    return done.stdout.strip()
