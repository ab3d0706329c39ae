"""Runs on this disk: `reports/runs/<name>/events.jsonl`, and the run's pictures and tables in `files` beside it."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from ..config import Project
from .events import EVENT, Candidate, Event

EVENTS_FILE = "events.jsonl"

_NAME = "%Y%m%d-%H%M%S-%f"


@dataclass(frozen=True)
class Journal:
    """The record of one run, in a folder of its own; events are only ever added."""

    folder: Path

    @property
    def name(self) -> str:
        """The run's name: when it started, in UTC."""
        return self.folder.name

    def append(self, event: Event) -> None:
        """Add an event."""
        path = self.folder / EVENTS_FILE
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                # A process that was killed may have left half a line.
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(EVENT.dump_json(event) + b"\n")

    def events(self) -> list[Event]:
        """All events, oldest first."""
        path = self.folder / EVENTS_FILE
        lines = path.read_bytes().splitlines() if path.is_file() else []
        events = []
        for line in lines:
            try:
                events.append(EVENT.validate_json(line))
            except ValidationError:  # half a line
                continue
        return events

    def keep(self, path: Path, folder: str) -> str:
        """Copy a file into the run; its path in `files`."""
        kept = self.folder / "files" / folder / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
        return f"{folder}/{path.name}"

    def file(self, name: str) -> Path:
        """Where the run keeps a file."""
        return self.folder / "files" / name


def new_journal(project: Project) -> Journal:
    """The journal of a new run."""
    while True:
        folder = runs_folder(project) / datetime.now(UTC).strftime(_NAME)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # another process, in the same microsecond
            continue
        return Journal(folder)


def list_journals(project: Project) -> list[Journal]:
    """The journals of all runs, oldest first."""
    return [Journal(path.parent) for path in sorted(runs_folder(project).glob(f"*/{EVENTS_FILE}"))]


def find_journal(project: Project, candidate: str) -> Journal | None:
    """The journal of the newest run that made a candidate; None where no run on this disk did."""
    for journal in reversed(list_journals(project)):
        if any(isinstance(event, Candidate) and event.sha256 == candidate for event in journal.events()):
            return journal
    return None


def runs_folder(project: Project) -> Path:
    """Folder of the runs."""
    return project.reports / "runs"
