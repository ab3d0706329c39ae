"""The command line as a process: output, exit codes, no traceback."""

import os
import subprocess
import sys

import pytest

from {{ cookiecutter.__package }}.config import Project

from .toys import toy_rows, write_raw


def _run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "{{ cookiecutter.__package }}", *arguments],
        cwd=project.root,
        env={**os.environ, "PROJECT_ROOT": str(project.root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stages_run_one_after_another(toy: Project) -> None:
    for stage in ("data", "explore", "train", "evaluate", "promote", "models"):
        result = _run(toy, stage)
        assert result.returncode == 0, result.stderr
    assert "v1 (latest)" in result.stdout
    result = _run(toy, "predict", "data/raw/rows.csv", "--output", "out/scored.csv")
    assert result.returncode == 0, result.stderr
    assert "400 rows scored" in result.stdout
    for log in ("data_processing.log", "training.log", "inference.log"):
        assert (toy.logs / log).stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train"], 1, "error: No prepared data"),
        (["predict", "x.csv", "--output", "y.csv"], 1, "error: No model was promoted"),
        (["promote"], 1, "error: No model in"),
        (["predict", "x.csv"], 2, "--output"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_a_mistake_gets_one_message_and_an_exit_code(
    toy: Project, arguments: list[str], code: int, message: str
) -> None:
    result = _run(toy, *arguments)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_too_many_bad_rows_exit_with_2(toy: Project) -> None:
    write_raw(toy.root, [*toy_rows(10), *(["big,-1,30,red,true,x"] * 10)])
    result = _run(toy, "data")
    assert result.returncode == 2
    assert "maximum_rejected_share" in result.stderr


def test_a_refused_promotion_exits_with_1_and_its_reasons(trained_toy: Project) -> None:
    result = _run(trained_toy, "promote")
    assert result.returncode == 1
    assert "is not better than" in result.stderr
