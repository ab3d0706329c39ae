"""Runs on this disk: `reports/runs/<name>/run.json`, and the run's pictures and tables in `files` beside it."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.table import Table

from ..config import Project, describe_errors
from ..errors import ProjectError, PromotionRefusedError
from ..files import write_bytes
from ..git import describe_commit
from ..terminal import compare_sides, make_table
# {% if cookiecutter.tracking == "mlflow" %}
from .mlflow import send_to_mlflow
# {% endif %}

RUN_FILE = "run.json"


class Run(BaseModel):
    """What a run logged, of each metric the last value at each step."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    folder: Path = Field(default=Path(), exclude=True)
    started: datetime
    state: str = "training"
    reason: str = ""
    candidate: str = ""  # sha256 of its manifest, by which later stages find the run
    version: str = ""
    parameters: dict[str, Any] = {}
    metrics: dict[str, dict[int, float]] = {}

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
        write_bytes(self.folder / RUN_FILE, self.model_dump_json(indent=2).encode() + b"\n")

    def flatten(self) -> dict[str, str]:
        """All of it, by name, as it is shown."""
        flat = {"state": self.state, "reason": self.reason, "version": self.version}
        flat |= {name: str(value) for name, value in self.parameters.items()}
        flat |= {name: " ".join(f"{value:.4f}" for value in steps.values()) for name, steps in self.metrics.items()}
        return flat


@contextmanager
def open_run(project: Project, candidate: str = "") -> Iterator[Run]:
    """A new run, or the newest that made a candidate (sha256 of its manifest); it fails where the block does."""
    started, known = datetime.now(UTC), list_runs(project) if candidate else []
    folder = project.reports / "runs" / started.strftime("%Y%m%d-%H%M%S-%f")
    new = Run(folder=folder, started=started, candidate=candidate, parameters={"commit": describe_commit(project.root)})
    run = [new, *(run for run in known if run.candidate == candidate)][-1]
    try:
        yield run
    except BaseException as error:
        state = "refused" if isinstance(error, PromotionRefusedError) else "failed"
        run.reach(state, str(error) or type(error).__name__)
        raise
    finally:
        send_runs(project, [run])


def send_runs(project: Project, runs: list[Run], champion: str | None = None) -> None:
    """Send runs, and which version is `latest`, to where the project sends them."""
    # {% if cookiecutter.tracking == "mlflow" %}
    send_to_mlflow(project, runs, champion)
    # {% endif %}


def list_runs(project: Project) -> list[Run]:
    """All runs, oldest first. Raises ProjectError where the file of one is damaged."""
    runs = []
    for path in sorted((project.reports / "runs").glob(f"*/{RUN_FILE}")):
        try:
            runs.append(Run.model_validate_json(path.read_bytes()).model_copy(update={"folder": path.parent}))
        except ValidationError as error:
            raise ProjectError(f"{path} is damaged; remove the run's folder.\n{describe_errors(error)}") from error
    return runs


def find_run(project: Project, start: str) -> Run:
    """The one run whose name starts so. Raises ProjectError where there is none, or several."""
    found = [run for run in list_runs(project) if run.folder.name.startswith(start)]
    if len(found) != 1:
        raise ProjectError(f"{len(found) or 'No'} runs have a name that starts with {start}; `runs` lists all.")
    return found[0]


def describe_runs(project: Project) -> Table:
    """The runs as a table, with the metric of the validation rows: the test rows are not there to choose by."""
    shown = "run", "state", "version", "estimator", "data", "commit", f"validation_{project.model.gate.metric}"
    flat = ({"run": run.folder.name, **run.flatten()} for run in list_runs(project))
    return make_table(*shown, rows=({**run, "data": run.get("data", "")[:8]} for run in flat))


def compare_runs(*runs: Run) -> Table:
    """All that was logged, a column for each run; where they differ, the last column says so."""
    return compare_sides([run.folder.name for run in runs], [run.flatten() for run in runs])
