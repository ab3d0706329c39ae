"""The pointers: small `.dvc` files in git that stand for raw data and versions of the model."""

from pathlib import Path

from ..config import Project
from ..errors import ProjectError
from ..modeling.registry import Registry
from .program import run_dvc

POINTER_SUFFIX = ".dvc"

_OTHERS = {"README.md", ".gitignore"}


def track_raw_files(project: Project) -> None:
    """Give a pointer to each file and folder of the raw folder that has none."""
    _add(project, [path for path in _visible(project.raw) if path.suffix != POINTER_SUFFIX])


def track_versions(project: Project) -> None:
    """Give a pointer to each version that has none."""
    registry = Registry(project.models)
    _add(project, [registry.folder(version) for version in registry.versions()])


def require_versions(project: Project) -> None:
    """See that each version which has a pointer is here, so that its number is not given again.

    Raises:
        ProjectError: one is not.
    """
    versioned = Registry(project.models).versioned
    missing = [path.stem for path in versioned.glob(f"v*{POINTER_SUFFIX}") if not path.with_suffix("").exists()]
    if missing:
        raise ProjectError(
            f"Not here: {', '.join(sorted(missing))} of models/versioned. Fetch them (`make pull`), or, if they were "
            "pruned for good, remove their .dvc files."
        )


def _visible(folder: Path) -> list[Path]:
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in there if path.name not in _OTHERS and not path.name.startswith(".")]


def _add(project: Project, paths: list[Path]) -> None:
    new = [path for path in paths if not path.with_name(f"{path.name}{POINTER_SUFFIX}").exists()]
    names = [path.relative_to(project.root).as_posix() for path in new]
    if names and not run_dvc(project, "add", "--quiet", *names):
        raise ProjectError(f"DVC does not take {', '.join(names)}; `uv run dvc add {names[0]}` says why.")
