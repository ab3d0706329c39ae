"""The notebooks run from end to end on this project's own table, and carry no output."""

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from traitlets.config import Config

from {{ cookiecutter.__package }}.config import Project

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*/*.ipynb"))
CLEAR = "uv run nbstripout --keep-id notebooks/*/*.ipynb"


def left_behind(notebook: dict[str, Any]) -> list[str]:
    """The cells of a notebook that carry what running them left: output or an execution count."""
    code = (cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    return [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_its_own_folder(
    name: str, trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECT_ROOT", str(trained.root))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.chdir((ROOT / name).parent)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # a shell puts a module of its own there
    shell = TerminalInteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    for cell in nbformat.read(ROOT / name, as_version=4).cells:
        if cell.cell_type == "code":
            shell.run_cell(cell.source).raise_error()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_valid_and_carries_no_output(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    nbformat.validate(nbformat.reads(text, as_version=nbformat.NO_CONVERT))
    assert left_behind(json.loads(text)) == [], f"{name} has output; take it out by: {CLEAR}"


def test_output_and_an_execution_count_are_noticed() -> None:
    clean: dict[str, Any] = {"id": "clean", "cell_type": "code", "outputs": [], "execution_count": None}
    text = {"id": "text", "cell_type": "markdown"}
    ran = [clean | {"id": "output", "outputs": [{}]}, clean | {"id": "count", "execution_count": 3}]
    assert left_behind({"cells": [clean, text, *ran]}) == ["output", "count"]
