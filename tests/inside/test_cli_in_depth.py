"""The command line: output, exit codes, no traceback."""

import os
import subprocess
import sys

import pytest
from demo_project.config import ROOT_VARIABLE, Project
from demo_project.modeling import pipeline
from demo_project.modeling.pipeline import STAGES, Stage


def test_the_pipeline_runs_a_stage_of_your_own(trained_toy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Project] = []
    stages = [Stage(name, seen.append) for name in (*(stage.name for stage in STAGES), "mine")]
    monkeypatch.setattr(pipeline, "STAGES", stages)
    pipeline.run_pipeline(trained_toy)
    assert seen == [trained_toy] * (len(STAGES) + 1)


def test_a_process_ends_with_the_message_alone_and_imports_no_large_library(toy: Project) -> None:
    code = (
        "import sys; from demo_project.cli import main\ntry: main()\n"
        "finally: print({'sklearn', 'polars', 'onnx', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "runs", "diff", "v1", "v2"]
    environment = os.environ | {ROOT_VARIABLE: str(toy.root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "set()\n")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
