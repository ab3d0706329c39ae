"""Runs on this disk: `reports/runs/<name>/events.jsonl`, and the run's pictures and tables in `files` beside it."""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..config import Project

EVENTS_FILE = "events.jsonl"

_NAME = "%Y%m%d-%H%M%S-%f"

Event = dict[str, Any]
"""What happened: `kind`, `at` (ISO 8601, UTC), and what events of that kind say."""


@dataclass(frozen=True)
class Journal:
    """The record of one run, in a folder of its own; events are only ever added."""

    folder: Path

    @property
    def name(self) -> str:
        """The run's name: when it started, in UTC."""
        return self.folder.name

    def append(self, kind: str, **values: Any) -> None:
        """Add an event."""
        event = {"at": datetime.now(UTC).isoformat(), "kind": kind, **values}
        with (self.folder / EVENTS_FILE).open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                # A process that was killed may have left half a line.
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(event, default=str).encode() + b"\n")

    def events(self) -> list[Event]:
        """All events, oldest first."""
        path = self.folder / EVENTS_FILE
        events = []
        for line in path.read_bytes().splitlines() if path.is_file() else []:
            try:
                events.append(json.loads(line))
            except ValueError:  # half a line
                continue
        return events

    def state(self) -> str:
        """How far the run came; once promoted, it stays so."""
        states = [event["state"] for event in self.events() if event["kind"] == "reached"]
        return "promoted" if "promoted" in states else (states or [""])[-1]

    def keep(self, path: Path, folder: str) -> str:
        """Copy a file into the run; its path in `files`."""
        kept = self.file(f"{folder}/{path.name}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
        return f"{folder}/{path.name}"

    def file(self, name: str) -> Path:
        """Where the run keeps a file."""
        return self.folder / "files" / name


@dataclass
class Destination:
    """Where runs go besides this disk: nowhere. A subclass sends them; nothing in it stops a stage."""

    project: Project

    def send(self, journal: Journal) -> None:
        """Send what has been added to a run since the last time."""

    def point_champion(self, version: str) -> None:
        """Say which version is `latest`."""


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
        if any(event["kind"] == "candidate" and event["sha256"] == candidate for event in journal.events()):
            return journal
    return None


def runs_folder(project: Project) -> Path:
    """Folder of the runs."""
    return project.reports / "runs"
