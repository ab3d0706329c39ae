"""The runs as tables for the terminal and as a picture."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from ..config import Project
from ..errors import ProjectError
from ..plots import plot_runs, save_figure
from ..terminal import make_table
from .local import Journal, list_journals

_SETTINGS = {"commit", "data", "derived", "estimator", "seed", "selection", "training_rows", "trials"}


@dataclass
class RunSummary:
    """What a run logged; of each metric the last value at each step."""

    name: str
    state: str
    reason: str = ""
    version: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[int, float]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def flatten(self) -> dict[str, str]:
        """All of it, by name, as it is shown."""
        flat = {"state": self.state, "reason": self.reason, "version": self.version}
        flat |= {name: str(value) for name, value in self.parameters.items()}
        flat |= {name: " ".join(f"{value:.4f}" for value in steps.values()) for name, steps in self.metrics.items()}
        return flat | {"files": "\n".join(self.files)}


def list_runs(project: Project) -> list[RunSummary]:
    """Each run of this disk, oldest first."""
    return [_summarize(journal) for journal in list_journals(project)]


def find_run(project: Project, name: str) -> RunSummary:
    """The one run whose name starts so.

    Raises:
        ProjectError: there is none, or there are several.
    """
    found = [journal for journal in list_journals(project) if journal.name.startswith(name)]
    if len(found) != 1:
        raise ProjectError(f"{len(found) or 'No'} runs have a name that starts with {name}; `runs` lists all.")
    return _summarize(found[0])


def describe_runs(project: Project, runs: list[RunSummary]) -> Table:
    """The runs as a table, with the metric of the validation rows: the test rows are not there to choose by."""
    metric = f"validation_{project.model.gate.metric}"
    table = make_table("run", "state", "version", "estimator", "hyperparameters", "data", "commit", metric)
    for run in runs:
        estimator, data, commit = (str(run.parameters.get(name, "")) for name in ("estimator", "data", "commit"))
        chosen = " ".join(f"{name}={value}" for name, value in run.parameters.items() if name not in _SETTINGS)
        short = chosen if len(chosen) <= 40 else f"{chosen[:39]}…"
        shown = run.flatten().get(metric, "")
        table.add_row(run.name, run.state, run.version, estimator, short, data[:8], commit, shown)
    return table


def compare_runs(*runs: RunSummary) -> Table:
    """All that was logged, a column for each run; where they differ, the last column says so."""
    table = make_table("", *(run.name for run in runs), "")
    sides = [run.flatten() for run in runs]
    for name in dict.fromkeys(name for side in sides for name in side):
        values = [side.get(name, "") for side in sides]
        if any(values):
            table.add_row(name, *values, "differs" if len(set(values)) > 1 else "")
    return table


def picture_runs(project: Project, runs: list[RunSummary]) -> Path | None:
    """Draw the validation metric over the runs; the picture's path, None where no run was evaluated."""
    metric = f"validation_{project.model.gate.metric}"
    measured = [run for run in runs if metric in run.metrics]
    if not measured:
        return None
    path = project.reports / "figures" / "runs.png"
    values = [run.metrics[metric][0] for run in measured]
    data = [str(run.parameters.get("data", "")) for run in measured]
    promoted = [bool(run.version) for run in measured]
    save_figure(plot_runs([run.name for run in measured], values, promoted, data, metric), path)
    return path


def _summarize(journal: Journal) -> RunSummary:
    run = RunSummary(journal.name, journal.state())
    for event in journal.events():
        match event["kind"]:
            case "parameters":
                run.parameters |= event["values"]
            case "metrics":
                for name, value in event["values"].items():
                    run.metrics.setdefault(name, {})[event["step"]] = float(value)
            case "stored" if event["file"] not in run.files:
                run.files.append(event["file"])
            case "version":
                run.version = event["name"]
            case "reached" if event["state"] == run.state:
                run.reason = event["reason"]
    return run
