"""Runs on this disk: `reports/runs/<name>/events.jsonl`, and the run's pictures and tables in `files` beside it."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from ..config import Project
from ..errors import ProjectError
from ..terminal import compare_sides, make_table

EVENTS_FILE = "events.jsonl"

_NO_HYPERPARAMETERS = {"commit", "data", "derived", "estimator", "seed", "selection", "training_rows", "trials"}


@dataclass
class RunSummary:
    """What a run logged; of each metric the last value at each step."""

    name: str
    state: str = ""
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


def new_run(project: Project) -> Path:
    """The folder of a new run, named after its start, in UTC."""
    folder = project.reports / "runs" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:  # another process, in the same microsecond
        return new_run(project)
    return folder


def list_runs(project: Project) -> list[Path]:
    """The folders of all runs, oldest first."""
    return [path.parent for path in sorted((project.reports / "runs").glob(f"*/{EVENTS_FILE}"))]


def add_event(run: Path, kind: str, **values: Any) -> None:
    """Add to a run what happened: its kind, `at` (ISO 8601, UTC), and what events of that kind say."""
    event = {"at": datetime.now(UTC).isoformat(), "kind": kind, **values}
    with (run / EVENTS_FILE).open("ab") as file:
        # The line's end comes first, since half a line may be all that a process left that was killed.
        file.write((b"\n" if file.tell() else b"") + json.dumps(event, default=str).encode())


def read_events(run: Path) -> list[dict[str, Any]]:
    """All that happened, oldest first."""
    path = run / EVENTS_FILE
    events = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        with suppress(ValueError):  # half a line
            events.append(json.loads(line))
    return events


def summarize_run(folder: Path) -> RunSummary:
    """What the events say together; once promoted, a run stays so."""
    run = RunSummary(folder.name)
    for event in read_events(folder):
        match event:
            case {"kind": "parameters", "values": values}:
                run.parameters |= values
            case {"kind": "metrics", "values": values, "step": step}:
                for name, value in values.items():
                    run.metrics.setdefault(name, {})[step] = float(value)
            case {"kind": "stored", "file": file} if file not in run.files:
                run.files.append(file)
            case {"kind": "version", "name": name}:
                run.version = name
            case {"kind": "reached", "state": state, "reason": reason} if run.state != "promoted":
                run.state, run.reason = state, reason
    return run


def find_run(project: Project, start: str) -> RunSummary:
    """The one run whose name starts so. Raises ProjectError where there is none, or several."""
    found = [run for run in list_runs(project) if run.name.startswith(start)]
    if len(found) != 1:
        raise ProjectError(f"{len(found) or 'No'} runs have a name that starts with {start}; `runs` lists all.")
    return summarize_run(found[0])


def describe_runs(project: Project, runs: list[RunSummary]) -> Table:
    """The runs as a table, with the metric of the validation rows: the test rows are not there to choose by."""
    metric = f"validation_{project.model.gate.metric}"
    table = make_table("run", "state", "version", "estimator", "hyperparameters", "data", "commit", metric)
    for run in runs:
        flat = {"estimator": "", "data": "", "commit": "", metric: ""} | run.flatten()
        chosen = " ".join(f"{name}={flat[name]}" for name in run.parameters if name not in _NO_HYPERPARAMETERS)
        short = chosen if len(chosen) <= 40 else f"{chosen[:39]}…"
        shown = (flat["estimator"], short, flat["data"][:8], flat["commit"], flat[metric])
        table.add_row(run.name, run.state, run.version, *shown)
    return table


def compare_runs(*runs: RunSummary) -> Table:
    """All that was logged, a column for each run; where they differ, the last column says so."""
    return compare_sides([run.name for run in runs], [run.flatten() for run in runs])


def picture_runs(project: Project, runs: list[RunSummary]) -> Path | None:
    """Draw the validation metric over the runs; the picture's path, None where no run was evaluated."""
    metric = f"validation_{project.model.gate.metric}"
    measured = [run for run in runs if metric in run.metrics]
    if not measured:
        return None
    from ..plots import plot_runs, save_figure

    path = project.reports / "figures" / "runs.png"
    names, values = [run.name for run in measured], [run.metrics[metric][0] for run in measured]
    promoted, data = [bool(run.version) for run in measured], [str(run.parameters.get("data")) for run in measured]
    save_figure(plot_runs(names, values, promoted, data, metric), path)
    return path
