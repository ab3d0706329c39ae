"""The notebooks run from end to end on this project's own table, and carry no output."""

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from {{ cookiecutter.__package }}.config import Project

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*/*.ipynb"))


def left_behind(notebook: dict[str, Any]) -> list[str]:
    """The cells of a notebook that carry what running them left: output or an execution count."""
    code = (cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    return [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_its_own_folder(name: str, trained: Project) -> None:
    notebook = nbformat.read(ROOT / name, as_version=4)
    folder = {"metadata": {"path": str((ROOT / name).parent)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder)
    client.execute(env={**os.environ, "PROJECT_ROOT": str(trained.root)})
    assert left_behind(notebook)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_valid_and_carries_no_output(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    nbformat.validate(nbformat.reads(text, as_version=nbformat.NO_CONVERT))
    assert left_behind(json.loads(text)) == []


def test_output_and_an_execution_count_are_noticed() -> None:
    cells: list[dict[str, Any]] = [
        {"id": "clean", "cell_type": "code", "outputs": [], "execution_count": None},
        {"id": "output", "cell_type": "code", "outputs": [{"output_type": "stream"}], "execution_count": None},
        {"id": "text", "cell_type": "markdown"},
        {"id": "count", "cell_type": "code", "outputs": [], "execution_count": 3},
    ]
    assert left_behind({"cells": cells}) == ["output", "count"]
