"""The command line: output, exit codes, no traceback."""

import sys
from collections.abc import Callable

import pytest

from {{ cookiecutter.__package }} import cli
from {{ cookiecutter.__package }}.config import ROOT_VARIABLE, Project
from {{ cookiecutter.__package }}.modeling.pipeline import STAGES
from {{ cookiecutter.__package }}.modeling.registry import Registry

from .toys import copy_version, make_candidate, toy_rows, write_raw

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on a project: its exit code, stdout and stderr."""

    def run_command(project: Project, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv(ROOT_VARIABLE, str(project.root))
        monkeypatch.setattr(sys, "argv", ["project", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return (code if isinstance(code, int) else 0, *capsys.readouterr())

    return run_command


def test_the_commands_run_one_after_another(toy: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("data", "train", "evaluate", "promote", "models"):
        code, shown, problems = run(toy, command)
        assert code == 0, problems
    assert "v1 (latest)" in shown
    monkeypatch.chdir(toy.raw)  # a path is relative to where the command runs
    code, shown, problems = run(toy, "predict", "rows.csv", "--output", "scored.csv")
    assert (code, problems) == (0, "")
    assert "v1: 400 rows scored, 0 refused" in shown
    assert (toy.raw / "scored.csv").is_file()
    told = {"data_processing": "accepted", "training": "Promoted v1", "inference": "v1 scored 400 rows"}
    for log, text in told.items():
        assert text in (toy.logs / f"{log}.log").read_text(encoding="utf-8")


def test_each_stage_is_a_command(toy: Project, run: Run) -> None:
    for stage in STAGES:
        assert run(toy, stage.name, "--help")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train"], 1, "error: No prepared data"),
        (["predict", "x.csv", "--output", "y.csv"], 1, "error: No model was promoted"),
        (["promote"], 1, "error: No model in"),
        (["promote", "--force"], 1, "error: --force and --reason"),
        (["predict", "x.csv"], 2, "--output"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_a_mistake_gets_one_message_and_an_exit_code(
    toy: Project, run: Run, arguments: list[str], code: int, message: str
) -> None:
    found, _, problems = run(toy, *arguments)
    assert found == code
    assert message in problems


def test_a_refusal_exits_with_its_code_and_its_reasons(trained_toy: Project, run: Run) -> None:
    code, _, problems = run(make_candidate(trained_toy, hyperparameters={"logistic_regression": {"C": 0.1}}), "promote")
    assert (code, "is not better than" in problems) == (1, True)
    write_raw(trained_toy.root, [*toy_rows(10), *(["big,-1,30,red,true,x"] * 10)])
    code, _, problems = run(trained_toy, "data")
    assert (code, "maximum_rejected_share" in problems) == (2, True)


def test_a_version_that_cannot_be_read_is_listed_with_what_is_wrong(trained_toy: Project, run: Run) -> None:
    broken = Registry(trained_toy.models).folder(copy_version(trained_toy)) / "manifest.json"
    broken.write_text("{", encoding="utf-8")
    code, shown, problems = run(trained_toy, "models")
    assert code == 0
    assert "v1 (latest)" in shown
    assert "cannot be read" in shown
    assert f"{broken} is damaged" in problems
