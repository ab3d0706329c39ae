"""DVC and git, run as programs in the project."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from ..config import ROOT_VARIABLE, Project
from ..errors import ProjectError


def run_dvc(project: Project, *arguments: str) -> bool:
    """Run DVC, which prints to this terminal; whether it succeeded.

    Raises:
        ProjectError: DVC is not installed, or the project is no git repository.
    """
    return _start_dvc(project, arguments, capture=False).returncode == 0


def ask_dvc(project: Project, *arguments: str) -> str:
    """What DVC answers, without the last line break.

    Raises:
        ProjectError: DVC is not installed, the project is no git repository, or DVC refuses.
    """
    done = _start_dvc(project, arguments, capture=True)
    if done.returncode != 0:
        raise ProjectError(f"`dvc {' '.join(arguments)}` failed:\n{done.stderr.strip()}")
    return done.stdout.strip()


def _start_dvc(project: Project, arguments: tuple[str, ...], capture: bool) -> subprocess.CompletedProcess[str]:
    if find_spec("dvc") is None:
        raise ProjectError("DVC is not installed here; run `make setup`, or `uv sync --all-extras --group dvc`.")
    _require_git(project.root)
    sys.stdout.flush()
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project.root,
        env=_surroundings(),
        stdin=subprocess.DEVNULL,
        capture_output=capture,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _surroundings() -> dict[str, str]:
    # The stages of dvc.yaml are commands of this environment, and an experiment runs them in a copy of the project.
    scripts = str(Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if name != ROOT_VARIABLE}
    return {**kept, "PATH": os.pathsep.join([scripts, kept.get("PATH", os.defpath)])}


def _require_git(root: Path) -> None:
    if not _run_git(root, "rev-parse", "--git-dir"):
        raise ProjectError(f"{root} is no git repository, in which DVC keeps its pointers; run `git init` in it.")
    if _run_git(root, "check-ignore", "--quiet", "."):
        raise ProjectError(
            f"{root} is ignored by the git repository around it, so DVC's pointers would be too; run `git init` in it."
        )


def _run_git(root: Path, *arguments: str) -> bool:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise ProjectError("git is not installed; DVC keeps its pointers in a git repository.") from error
    return done.returncode == 0
