"""A run as the stages see it: they log, and it goes to the journal and to where the project sends runs."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from ..config import Project
from ..errors import PromotionRefusedError
from ..git import describe_commit
from .events import Candidate, Event, Metrics, Parameters, Reached, State, Stored, Version
from .local import Journal, find_journal, new_journal
from .settings import read_tracking_settings


class Destination(Protocol):
    """Where runs go besides this disk. Nothing here raises: what cannot be sent is logged, and waits."""

    def send(self, journal: Journal) -> None:
        """Send what has been added to a run since the last time."""

    def point_champion(self, version: str) -> None:
        """Say which version is `latest`."""


@dataclass(frozen=True)
class Run:
    """A run in progress; without a journal, where tracking is disabled, nothing is kept."""

    project: Project
    journal: Journal | None
    destination: Destination | None

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        """Log settings by name."""
        self._add(Parameters(values=dict(values)))

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log measured numbers by name; `step` counts repeated ones."""
        self._add(Metrics(values=dict(values), step=step))

    def log_file(self, path: Path, folder: str) -> None:
        """Keep a copy of a picture or a table, in a folder of the run."""
        if self.journal is not None:
            self._add(Stored(file=self.journal.keep(path, folder)))

    def log_candidate(self, sha256: str) -> None:
        """Log which model the run made, so that later stages find the run."""
        self._add(Candidate(sha256=sha256))

    def log_version(self, name: str, folder: Path) -> None:
        """Log the version that the candidate became."""
        self._add(Version(name=name, folder=folder.relative_to(self.project.root).as_posix()))

    def reach(self, state: State, reason: str = "") -> None:
        """Log how far the run came."""
        self._add(Reached(state=state, reason=reason))

    def _add(self, event: Event) -> None:
        if self.journal is not None:
            self.journal.append(event)
            if self.destination is not None:
                self.destination.send(self.journal)


@contextmanager
def start_run(project: Project) -> Iterator[Run]:
    """A new run, which ends as failed where the block does."""
    enabled = read_tracking_settings(project).enabled
    with _log_failure(_open_run(project, new_journal(project) if enabled else None)) as run:
        run.reach("training")
        run.log_parameters({"commit": describe_commit(project.root)})
        yield run


@contextmanager
def resume_run(project: Project, candidate: str) -> Iterator[Run]:
    """The run that made a candidate (sha256 of its manifest), or a new one where it ran elsewhere."""
    journal = None
    if read_tracking_settings(project).enabled:
        journal = find_journal(project, candidate)
        if journal is None:
            journal = new_journal(project)
            journal.append(Candidate(sha256=candidate))
    with _log_failure(_open_run(project, journal)) as run:
        yield run


def point_champion(project: Project, version: str) -> None:
    """Tell the destination, if the project has one, which version is `latest`."""
    destination = _find_destination(project) if read_tracking_settings(project).enabled else None
    if destination is not None:
        destination.point_champion(version)


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


def _open_run(project: Project, journal: Journal | None) -> Run:
    return Run(project, journal, None if journal is None else _find_destination(project))


def _find_destination(project: Project) -> Destination | None:
    # The one place that knows whether the package was generated with a tracking server.
    if find_spec(".mlflow", __package__) is None:
        return None
    return cast(Destination | None, importlib.import_module(".mlflow", __package__).find_destination(project))
