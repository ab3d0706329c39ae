"""Measure what tracking and data versioning add to a pipeline: `python benchmarks/pipeline.py`.

One project is baked and set up; all ways of running its pipeline take turns in it. Each is a process, as
the user starts it, and ends with the model that is `latest` already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).parents[1]
ANSWERS = {"tracking": "mlflow", "data_versioning": "dvc"}
ROUNDS = 7


def main() -> None:
    """Print the median seconds of each way, and its ratio to a pipeline whose runs stay here."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=folder, extra_context=ANSWERS))
        subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
        run(project, "make", "setup")
        run(project, "make", "pipeline")
        seconds = measure(project)
    base = seconds["pipeline, runs on this disk"]
    print("| What | Seconds | Ratio |\n|---|---|---|")
    for what, value in seconds.items():
        print(f"| {what} | {value:.2f} | {value / base:.2f} |")


def measure(project: Path) -> dict[str, float]:
    """Return the median seconds of each way, run by turns."""
    command = [str(project / ".venv" / "bin" / project.name), "pipeline"]
    ways = {
        "pipeline, runs on this disk": (False, command),
        "pipeline, runs in MLflow (SQLite)": (True, command),
        "dvc repro with nothing to do": (False, [str(project / ".venv" / "bin" / "dvc"), "repro", "--quiet"]),
    }
    times: dict[str, list[float]] = {what: [] for what in ways}
    for _ in range(ROUNDS):
        for what, (sends, way) in ways.items():
            choose_tracking(project, sends)
            begin = time.perf_counter()
            run(project, *way)
            times[what].append(time.perf_counter() - begin)
    return {what: median(values) for what, values in times.items()}


def choose_tracking(project: Path, sends: bool) -> None:
    """Make the next pipeline log to this disk alone, or to MLflow as well."""
    config, aside = project / "config", project / "mlflow.yaml"
    here, there = (aside, config / "mlflow.yaml") if sends else (config / "mlflow.yaml", aside)
    if here.exists():
        shutil.move(here, there)


def run(project: Path, *command: str) -> None:
    """Run a command in the project and fail, with what it said, where it fails."""
    done = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
