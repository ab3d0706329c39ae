"""The same answers give the same bytes, whoever bakes and wherever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from baking import TEMPLATE, BakedProject, Oven
from conftest import Bake

ANSWERS = {
    "project_name": 'Ärger & "Freude"',
    "project_slug": "freude",
    "task": "regression",
    "serving": "flask",
}


def test_two_bakes_are_the_same(bake: Bake, oven: Oven) -> None:
    assert oven.bake(ANSWERS).digests == bake(**ANSWERS).digests


def test_the_command_line_in_another_place_and_hash_seed_writes_the_same(bake: Bake, tmp_path: Path) -> None:
    answers = [f"{question}={answer}" for question, answer in ANSWERS.items()]
    subprocess.run(
        [sys.executable, "-m", "cookiecutter", "--no-input", "--output-dir", tmp_path, TEMPLATE, *answers],
        env={**os.environ, "PYTHONHASHSEED": "7", "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)},
        check=True,
    )
    assert BakedProject(tmp_path / "freude", ANSWERS).digests == bake(**ANSWERS).digests


def test_cruft_writes_the_same_bytes(bake: Bake, template_repository: Path, tmp_path: Path) -> None:
    subprocess.run(
        [
            "cruft",
            "create",
            template_repository,
            "--no-input",
            "--default-config",
            "--output-dir",
            tmp_path,
            "--extra-context",
            json.dumps(ANSWERS),
        ],
        check=True,
    )
    (tmp_path / "freude" / ".cruft.json").unlink()
    assert BakedProject(tmp_path / "freude", ANSWERS).digests == bake(**ANSWERS).digests


def test_without_hooks_every_module_still_compiles_and_the_package_imports(oven: Oven) -> None:
    project = oven.bake({"serving": "none"}, accept_hooks=False)
    assert any("/serving/" in file for file in project.files)
    project.run(sys.executable, "-m", "compileall", "-q", "src")
    project.run(sys.executable, "-c", f"import {project.package}", PYTHONPATH="src")
