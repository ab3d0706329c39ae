"""The runs as a table for the terminal and as a picture."""

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from ..config import Project
from ..plots import plot_runs, save_figure
from ..terminal import make_table
from .events import Metrics, Parameters, Reached, Version
from .local import Journal, list_journals


@dataclass(frozen=True)
class RunSummary:
    """A run in a line; `value` is its test metric, None before `evaluate`."""

    name: str
    estimator: str
    state: str
    value: float | None
    version: str


def list_runs(project: Project) -> list[RunSummary]:
    """Each run of this disk, oldest first, with the metric that the gate looks at."""
    metric = f"test_{project.model.gate.metric}"
    return [_summarize(journal, metric) for journal in list_journals(project)]


def describe_runs(project: Project, runs: list[RunSummary]) -> Table:
    """The runs as a table."""
    table = make_table("run", "estimator", "state", f"test {project.model.gate.metric}", "version")
    for run in runs:
        table.add_row(run.name, run.estimator, run.state, "" if run.value is None else f"{run.value:.4f}", run.version)
    return table


def picture_runs(project: Project, runs: list[RunSummary]) -> Path | None:
    """Draw the metric over the runs; the picture's path, None where no run was evaluated."""
    measured = [(run.name, run.value, bool(run.version)) for run in runs if run.value is not None]
    if not measured:
        return None
    names, values, promoted = zip(*measured, strict=True)
    path = project.reports / "figures" / "runs.png"
    save_figure(plot_runs(names, values, promoted, project.model.gate.metric), path)
    return path


def _summarize(journal: Journal, metric: str) -> RunSummary:
    estimator, state, value, version = "", "", None, ""
    for event in journal.events():
        match event:
            case Parameters():
                estimator = str(event.values.get("estimator", estimator))
            case Metrics():
                value = event.values.get(metric, value)
            case Version():
                version = event.name
            case Reached():
                state = event.state
    return RunSummary(journal.name, estimator, state, value, version)
