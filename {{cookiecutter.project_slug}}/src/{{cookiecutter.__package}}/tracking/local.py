"""Runs on this disk: `reports/runs/<name>/run.json`, and the run's pictures and tables in `files` beside it."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.table import Table

from ..config import Project, describe_errors
from ..errors import ProjectError
from ..files import write_bytes
from ..terminal import compare_sides, make_table

RUN_FILE = "run.json"

_NO_HYPERPARAMETERS = {"commit", "data", "derived", "estimator", "seed", "selection", "training_rows", "trials"}


class Run(BaseModel):
    """What a run logged, of each metric the last value at each step; nothing is kept where tracking is disabled."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    folder: Path = Field(default=Path(), exclude=True)
    enabled: bool = Field(default=True, exclude=True)
    started: datetime = Field(default_factory=lambda: datetime.now(UTC))
    state: str = "training"
    reason: str = ""
    candidate: str = ""  # sha256 of its manifest, by which later stages find the run
    version: str = ""
    parameters: dict[str, Any] = {}
    metrics: dict[str, dict[int, float]] = {}

    @property
    def files(self) -> list[str]:
        """The pictures and tables that it keeps."""
        kept = self.folder / "files"
        return [path.relative_to(kept).as_posix() for path in sorted(kept.rglob("*.*"))]

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        self.parameters |= values
        self.write()

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log measured numbers by name; `step` counts repeated ones."""
        for name, value in values.items():
            self.metrics.setdefault(name, {})[step] = float(value)
        self.write()

    def log_file(self, path: Path, folder: str) -> None:
        """Keep a copy of a picture or a table, in a folder of the run."""
        if self.enabled:
            kept = self.folder / "files" / folder / path.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)

    def reach(self, state: str, reason: str = "", candidate: str = "", version: str = "") -> None:
        """Log how far the run came (see docs/guides/tracking.md), and what it made; `promoted` stays."""
        if version or self.state != "promoted":
            self.state, self.reason, self.version = state, reason, version
            self.candidate = candidate or self.candidate
            self.write()

    def write(self) -> None:
        """Write the file."""
        if self.enabled:
            write_bytes(self.folder / RUN_FILE, self.model_dump_json(indent=2).encode() + b"\n")

    def flatten(self) -> dict[str, str]:
        """All of it, by name, as it is shown."""
        flat = {"state": self.state, "reason": self.reason, "version": self.version}
        flat |= {name: str(value) for name, value in self.parameters.items()}
        flat |= {name: " ".join(f"{value:.4f}" for value in steps.values()) for name, steps in self.metrics.items()}
        return flat | {"files": "\n".join(self.files)}


def list_runs(project: Project) -> list[Run]:
    """All runs, oldest first. Raises ProjectError where the file of one is damaged."""
    return [_read_run(path) for path in sorted((project.reports / "runs").glob(f"*/{RUN_FILE}"))]


def _read_run(path: Path) -> Run:
    try:
        return Run.model_validate_json(path.read_bytes()).model_copy(update={"folder": path.parent})
    except ValidationError as error:
        raise ProjectError(f"{path} is damaged; remove the run's folder.\n{describe_errors(error)}") from error


def find_run(project: Project, start: str) -> Run:
    """The one run whose name starts so. Raises ProjectError where there is none, or several."""
    found = [run for run in list_runs(project) if run.folder.name.startswith(start)]
    if len(found) != 1:
        raise ProjectError(f"{len(found) or 'No'} runs have a name that starts with {start}; `runs` lists all.")
    return found[0]


def describe_runs(project: Project) -> Table:
    """The runs as a table, with the metric of the validation rows: the test rows are not there to choose by."""
    metric = f"validation_{project.model.gate.metric}"
    table = make_table("run", "state", "version", "estimator", "hyperparameters", "data", "commit", metric)
    for run in list_runs(project):
        flat = {"estimator": "", "data": "", "commit": "", metric: ""} | run.flatten()
        chosen = " ".join(f"{name}={flat[name]}" for name in run.parameters if name not in _NO_HYPERPARAMETERS)
        short = chosen if len(chosen) <= 40 else f"{chosen[:39]}…"
        shown = (flat["estimator"], short, flat["data"][:8], flat["commit"], flat[metric])
        table.add_row(run.folder.name, run.state, run.version, *shown)
    return table


def compare_runs(*runs: Run) -> Table:
    """All that was logged, a column for each run; where they differ, the last column says so."""
    return compare_sides([run.folder.name for run in runs], [run.flatten() for run in runs])
