"""Runs on this disk: `reports/runs/<name>/run.json`, and the run's pictures and tables in `files` beside it."""

import shutil
import subprocess
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
from ..terminal import make_table
# {% if cookiecutter.tracking == "mlflow" %}
from .mlflow import send_to_mlflow
# {% endif %}

RUN_FILE = "run.json"


class Run(BaseModel):
    """What a run logged."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    folder: Path = Field(default=Path(), exclude=True)
    started: datetime
    state: str = "training"
    reason: str = ""
    candidate: str = ""  # sha256 of its manifest, by which later stages find the run
    version: str = ""
    parameters: dict[str, Any] = {}
    metrics: dict[str, float] = {}

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        self.parameters |= values
        self.write()

    def log_metrics(self, values: Mapping[str, float]) -> None:
        self.metrics |= values
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
        return flat | {name: f"{value:.4f}" for name, value in self.metrics.items()}


def describe_commit(folder: Path) -> str:
    """The commit that is checked out, `-dirty` behind it where code or settings differ; empty where git keeps none."""

    def ask(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603, S607
        return done.stdout.strip()

    try:
        commit = ask("rev-parse", "--short=12", "--verify", "--quiet", "HEAD")
        # What the pipeline itself writes, such as metrics and pointers to data, makes no other code.
        differs = commit and ask("status", "--porcelain", "--", "src", "config", "pyproject.toml")
    except OSError:  # git is not installed
        return ""
    return f"{commit}-dirty" if differs else commit


@contextmanager
def open_run(project: Project, candidate: str = "") -> Iterator[Run]:
    """A new run, or the newest that made a candidate (sha256 of its manifest); it fails where the block does."""
    started, known = datetime.now(UTC), list_runs(project) if candidate else []
    folder = project.reports / "runs" / started.strftime("%Y%m%d-%H%M%S-%f")
    commit = describe_commit(project.root)
    new = Run(folder=folder, started=started, candidate=candidate, parameters={"commit": commit})
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
    table, flat = make_table("", *(run.folder.name for run in runs), ""), [run.flatten() for run in runs]
    for name in dict.fromkeys(name for each in flat for name in each):
        values = [each.get(name, "") for each in flat]
        if any(values):
            table.add_row(name, *values, "differs" if len(set(values)) > 1 else "")
    return table
