"""A run as the stages see it: they log, and it goes to the journal and to where the project sends runs."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Project, Settings, read_settings
from ..errors import PromotionRefusedError
from ..git import describe_commit
# {% if cookiecutter.tracking == "mlflow" %}
from .local import Journal, find_journal, new_journal
from .mlflow import MlflowDestination as Destination
# {% else %}
from .local import Destination, Journal, find_journal, new_journal
# {% endif %}


class TrackingSettings(Settings):
    """`config/tracking.yaml`: whether runs are logged."""

    enabled: bool = True


@dataclass(frozen=True)
class Run:
    """A run in progress; without a journal, where tracking is disabled, nothing is kept."""

    journal: Journal | None
    destination: Destination

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        """Log settings by name."""
        self._add("parameters", values=dict(values))

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log measured numbers by name; `step` counts repeated ones."""
        # JSON has no word for what is not finite.
        written = {name: float(value) if math.isfinite(value) else str(value) for name, value in values.items()}
        self._add("metrics", values=written, step=step)

    def log_file(self, path: Path, folder: str) -> None:
        """Keep a copy of a picture or a table, in a folder of the run."""
        if self.journal is not None:
            self._add("stored", file=self.journal.keep(path, folder))

    def log_candidate(self, sha256: str) -> None:
        """Log which model the run made, so that later stages find the run."""
        self._add("candidate", sha256=sha256)

    def log_version(self, name: str, folder: Path) -> None:
        """Log the version that the candidate became."""
        self._add("version", name=name, folder=folder.relative_to(self.destination.project.root).as_posix())

    def reach(self, state: str, reason: str = "") -> None:
        """Log how far the run came (see docs/guides/tracking.md); nothing comes after `promoted`."""
        if self.journal is not None and self.journal.state() != "promoted":
            self._add("reached", state=state, reason=reason)

    def _add(self, kind: str, **values: Any) -> None:
        if self.journal is not None:
            self.journal.append(kind, **values)
            self.destination.send(self.journal)


@contextmanager
def start_run(project: Project) -> Iterator[Run]:
    """A new run, which ends as failed where the block does."""
    journal = new_journal(project) if _is_enabled(project) else None
    with _log_failure(Run(journal, Destination(project))) as run:
        run.reach("training")
        run.log_parameters({"commit": describe_commit(project.root)})
        yield run


@contextmanager
def resume_run(project: Project, candidate: str) -> Iterator[Run]:
    """The run that made a candidate (sha256 of its manifest), or a new one where it ran elsewhere."""
    journal = None
    if _is_enabled(project):
        journal = find_journal(project, candidate)
        if journal is None:
            journal = new_journal(project)
            journal.append("candidate", sha256=candidate)
    with _log_failure(Run(journal, Destination(project))) as run:
        yield run


def point_champion(project: Project, version: str) -> None:
    """Say which version is `latest`, where runs are sent to."""
    if _is_enabled(project):
        Destination(project).point_champion(version)


@contextmanager
def _log_failure(run: Run) -> Iterator[Run]:
    try:
        yield run
    except PromotionRefusedError as error:
        run.reach("refused", str(error))
        raise
    except BaseException as error:
        run.reach("failed", str(error) or type(error).__name__)
        raise


def _is_enabled(project: Project) -> bool:
    return read_settings(project.root, "tracking.yaml", TrackingSettings).enabled
