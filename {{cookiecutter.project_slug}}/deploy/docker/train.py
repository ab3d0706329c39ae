"""Run a command of the package or, where SageMaker runs the image, a training job by its contract.

A training job takes the files of its input channels for raw data and its hyperparameters for settings of
`config/model.yaml`, runs the pipeline, and leaves `latest` with its versions in /opt/ml/model, the reports in
/opt/ml/output/data. Where the pipeline fails, or the gate refuses the model, it says why in /opt/ml/output/failure.
A channel `models` brings the versions that the new model is held against, one named `config` the settings that take
the place of the image's. Where TRAIN_ONLY is set, the job stops before the gate: it leaves the candidate and its run,
for whoever started it to evaluate and to promote.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

import yaml

COMMAND = [sys.executable, "-m", "{{ cookiecutter.__package }}"]
SAGEMAKER = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
TRAINS_ONLY = "TRAIN_ONLY" in os.environ
SETTINGS = "config"
"""The channel with settings."""
FORMER = "models"
"""The channel with the versions so far: folders `latest` and `versioned`, or the model.tar.gz of a former job."""


def main() -> None:
    """Run a training job for `train` under SageMaker, else the command."""
    if sys.argv[1:] == ["train"] and (SAGEMAKER / "input").is_dir():
        sys.exit(run_job(Path(os.environ["PROJECT_ROOT"]), SAGEMAKER))
    os.execv(COMMAND[0], [*COMMAND, *sys.argv[1:]])  # noqa: S606 - what the caller asks for


def run_job(image: Path, job: Path) -> int:
    """Train by SageMaker's contract; the exit code of the pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        try:
            prepare(project, image, job / "input")
            status, last_lines = run_stages(project, ("data", "train") if TRAINS_ONLY else ("pipeline",))
        except (OSError, ValueError, yaml.YAMLError) as error:
            status, last_lines = 1, f"error: {error}\n"
            sys.stderr.write(last_lines)
        if (project / "reports").exists():
            shutil.copytree(project / "reports", job / "output" / "data", dirs_exist_ok=True)
        if status:
            (job / "output").mkdir(exist_ok=True)
            (job / "output" / "failure").write_text(last_lines[-1024:], encoding="utf-8")
            return status
        left = ("models/candidate", "reports/runs") if TRAINS_ONLY else ("models/latest", "models/versioned")
        for folder in filter(Path.exists, (project / name for name in left)):
            shutil.copytree(folder, job / "model" / folder.name, dirs_exist_ok=True)
    return 0


def prepare(project: Path, image: Path, given: Path) -> None:
    """Lay a project out of the image's settings and what the job was given."""
    brought, former = given / "data" / SETTINGS, given / "data" / FORMER
    shutil.copytree(brought if brought.is_dir() else image / "config", project / "config")
    raw = project / "data" / "raw"
    raw.mkdir(parents=True)
    for channel in sorted((given / "data").iterdir()):
        for file in sorted(channel.rglob("*")) if channel not in (brought, former) else ():
            if file.is_file():
                place = raw / file.relative_to(channel)
                place.parent.mkdir(parents=True, exist_ok=True)
                # Under one name a file would take the place of another.
                place.symlink_to(file)
    if former.is_dir():
        shutil.copytree(former, project / "models")
        for archive in (project / "models").glob("*.tar.gz"):
            with tarfile.open(archive) as content:
                content.extractall(project / "models", filter="data")
    settings = given / "config" / "hyperparameters.json"
    if settings.exists():
        change_settings(project / "config" / "model.yaml", json.loads(settings.read_bytes()))


def change_settings(file: Path, changes: dict[str, str]) -> None:
    """Set keys of a YAML file, each a path with dots, to values in YAML."""
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    for path, value in changes.items():
        if path.startswith("sagemaker_"):  # what SageMaker's own SDK adds
            continue
        *parents, key = path.split(".")
        place: Any = settings
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ValueError(f"hyperparameter {path}: {parent} has no keys in config/{file.name}")
        place[key] = yaml.safe_load(value)
    file.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False), encoding="utf-8")


def run_stages(project: Path, stages: tuple[str, ...]) -> tuple[int, str]:
    """Run them until one fails, showing what they print; the last one's exit code, and the last that was printed."""
    environment, status = {**os.environ, "PROJECT_ROOT": str(project)}, 0
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    lines: deque[str] = deque(maxlen=20)
    for stage in stages:
        with subprocess.Popen([*COMMAND, stage], env=environment, **streams) as running:  # noqa: S603
            signal.signal(signal.SIGTERM, lambda *_, running=running: running.terminate())
            for line in running.stdout or ():
                sys.stdout.write(line)
                lines.append(line)
        status = abs(running.returncode)
        if status:
            break
    return status, "".join(lines)


if __name__ == "__main__":
    main()
