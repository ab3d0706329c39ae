"""Run a command of the package or, where SageMaker runs the image, a training job by its contract.

A training job takes the files of its input channels for raw data and its hyperparameters for settings of
`config/model.yaml`, runs the pipeline, and leaves `latest` with its versions in /opt/ml/model, the reports in
/opt/ml/output/data. Where the pipeline fails, or the gate refuses the model, it says why in /opt/ml/output/failure.
A channel `models` brings the versions that the new model is held against.
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
            status, last_lines = run_pipeline(project)
        except (OSError, ValueError, yaml.YAMLError) as error:
            status, last_lines = 1, f"error: {error}\n"
            sys.stderr.write(last_lines)
        if (project / "reports").exists():
            shutil.copytree(project / "reports", job / "output" / "data", dirs_exist_ok=True)
        if status:
            (job / "output").mkdir(exist_ok=True)
            (job / "output" / "failure").write_text(last_lines[-1024:], encoding="utf-8")
            return status
        for name in ("latest", "versioned"):
            shutil.copytree(project / "models" / name, job / "model" / name, dirs_exist_ok=True)
    return 0


def prepare(project: Path, image: Path, given: Path) -> None:
    """Lay a project out of the image's settings and what the job was given."""
    shutil.copytree(image / "config", project / "config")
    raw, former = project / "data" / "raw", given / "data" / FORMER
    raw.mkdir(parents=True)
    for file in sorted((given / "data").rglob("*")):
        if file.is_file() and former not in file.parents:
            # Under one name a file would take the place of another.
            (raw / file.name).symlink_to(file)
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


def run_pipeline(project: Path) -> tuple[int, str]:
    """Run it, showing what it prints; its exit code, and the last it printed."""
    environment = {**os.environ, "PROJECT_ROOT": str(project)}
    command = [*COMMAND, "pipeline"]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    with subprocess.Popen(command, env=environment, **streams) as pipeline:  # noqa: S603
        signal.signal(signal.SIGTERM, lambda *_: pipeline.terminate())
        lines: deque[str] = deque(maxlen=20)
        for line in pipeline.stdout or ():
            sys.stdout.write(line)
            lines.append(line)
    return abs(pipeline.returncode), "".join(lines)


if __name__ == "__main__":
    main()
