"""A run as the stages see it: they log, and it goes to the journal and to where the project sends runs."""

import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Project, Settings, read_settings
from ..errors import PromotionRefusedError
from ..git import describe_commit
from .local import add_event, list_runs, new_run, read_events, summarize_run
# {% if cookiecutter.tracking == "mlflow" %}
from .mlflow import Destination
# {% endif %}


class TrackingSettings(Settings):
    """`config/tracking.yaml`: whether runs are logged."""

    enabled: bool = True


# {% if cookiecutter.tracking == "local" %}
@dataclass(frozen=True)
class Destination:
    """Where runs go besides this disk: nowhere. Nothing that sends them elsewhere may stop a stage."""

    project: Project

    def send(self, run: Path) -> None:
        """Send what has been added to a run since the last time."""

    def point_champion(self, version: str) -> None:
        """Say which version is `latest`."""


# {% endif %}
@dataclass(frozen=True)
class Run:
    """A run in progress; without a folder, where tracking is disabled, nothing is kept."""

    folder: Path | None
    destination: Destination

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        self._add("parameters", values=dict(values))

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log measured numbers by name; `step` counts repeated ones."""
        # JSON has no word for what is not finite.
        written = {name: float(value) if math.isfinite(value) else str(value) for name, value in values.items()}
        self._add("metrics", values=written, step=step)

    def log_file(self, path: Path, folder: str) -> None:
        """Keep a copy of a picture or a table, in a folder of the run."""
        if self.folder is not None:
            kept = self.folder / "files" / folder / path.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)
            self._add("stored", file=f"{folder}/{path.name}")

    def log_candidate(self, sha256: str) -> None:
        """Log which model the run made, so that later stages find the run."""
        self._add("candidate", sha256=sha256)

    def log_version(self, name: str, folder: Path) -> None:
        """Log the version that the candidate became."""
        self._add("version", name=name, folder=folder.relative_to(self.destination.project.root).as_posix())

    def reach(self, state: str, reason: str = "") -> None:
        """Log how far the run came (see docs/guides/tracking.md); nothing comes after `promoted`."""
        if self.folder is not None and summarize_run(self.folder).state != "promoted":
            self._add("reached", state=state, reason=reason)

    def _add(self, kind: str, **values: Any) -> None:
        if self.folder is not None:
            add_event(self.folder, kind, **values)
            self.destination.send(self.folder)


@contextmanager
def start_run(project: Project) -> Iterator[Run]:
    """A new run, which ends as failed where the block does."""
    with _follow(project, new_run(project) if _is_enabled(project) else None) as run:
        run.reach("training")
        run.log_parameters({"commit": describe_commit(project.root)})
        yield run


def resume_run(project: Project, candidate: str) -> AbstractContextManager[Run]:
    """The newest run that made a candidate (sha256 of its manifest), or a new one where it was made elsewhere."""
    if not _is_enabled(project):
        return _follow(project, None)
    made = {"kind": "candidate", "sha256": candidate}
    for run in reversed(list_runs(project)):
        if any(made.items() <= event.items() for event in read_events(run)):
            return _follow(project, run)
    run = new_run(project)
    add_event(run, **made)
    return _follow(project, run)


def point_champion(project: Project, version: str) -> None:
    """Say which version is `latest`, where runs are sent to."""
    if _is_enabled(project):
        Destination(project).point_champion(version)


@contextmanager
def _follow(project: Project, folder: Path | None) -> Iterator[Run]:
    run = Run(folder, Destination(project))
    try:
        yield run
    except BaseException as error:
        state = "refused" if isinstance(error, PromotionRefusedError) else "failed"
        run.reach(state, str(error) or type(error).__name__)
        raise


def _is_enabled(project: Project) -> bool:
    return read_settings(project.root, "tracking.yaml", TrackingSettings).enabled
