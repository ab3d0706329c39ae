"""A small project of two known classes, made in a temporary folder, for tests of the machinery.

It has settings of its own, and its pipeline has no stage of yours, so that nothing that you add runs on it. What
trains is imported once it runs: pytest-xdist reads this file before it starts its workers.
"""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.files import write_json
from {{ cookiecutter.__package }}.modeling.manifest import MANIFEST_FILE
from {{ cookiecutter.__package }}.modeling.pipeline import run_data, run_evaluate, run_train
from {{ cookiecutter.__package }}.modeling.promotion import promote_model
from {{ cookiecutter.__package }}.modeling.registry import Registry

TOY_SCHEMA: dict[str, Any] = {
    "task": "classification",
    "target": "kind",
    "columns": {
        "kind": {"type": "category", "categories": ["big", "small"]},
        "size": {"type": "number", "minimum": 0, "maximum": 100},
        "age": {"type": "integer", "minimum": 0, "maximum": 120, "nullable": True},
        "colour": {"type": "category", "categories": ["red", "green", "blue"], "nullable": True},
        "striped": {"type": "boolean"},
        "note": {"type": "category", "categories": ["none"], "role": "ignored"},
    },
}
TOY_PIPELINE: dict[str, Any] = {"split": {"validation": 0.2, "test": 0.3, "seed": 1}}
TOY_MODEL: dict[str, Any] = {
    "estimator": "logistic_regression",
    "gate": {"metric": "log_loss", "minimum": 1.0, "resamples": 200},
}
TOY_HEADER = "kind,size,age,colour,striped,note"


def make_toy(root: Path, rows: int = 400) -> Project:
    """A project whose rows are mostly told apart by their size."""
    write_config(root, "schema", TOY_SCHEMA)
    write_config(root, "pipeline", TOY_PIPELINE)
    write_config(root, "model", TOY_MODEL)
    write_raw(root, toy_rows(rows))
    return Project(root)


def toy_rows(rows: int, seed: int = 0) -> list[str]:
    """Lines of CSV under `TOY_HEADER`, all good and all different."""
    generator = random.Random(seed)
    lines = []
    for number in range(rows):
        size = round(generator.uniform(0, 90) + number / (1000 * rows), 6)
        kind = "big" if size + generator.gauss(0, 12) > 45 else "small"
        age = "" if generator.random() < 0.1 else str(generator.randint(0, 100))
        colour = generator.choice(["red", "green", "blue", ""])
        lines.append(f"{kind},{size},{age},{colour},{generator.choice(['true', 'false'])},line {number}")
    return lines


def write_raw(root: Path, lines: list[str], name: str = "rows.csv", header: str = TOY_HEADER) -> Path:
    """Write lines as a raw file."""
    path = root / "data" / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def write_config(root: Path, name: str, content: dict[str, Any]) -> None:
    """Write `config/<name>.yaml`."""
    path = root / "config" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def change_config(project: Project, name: str, **changes: Any) -> Project:
    """The project with top-level settings of one file replaced."""
    path = project.root / "config" / f"{name}.yaml"
    write_config(project.root, name, yaml.safe_load(path.read_text(encoding="utf-8")) | changes)
    return Project(project.root)


def make_candidate(project: Project, **changes: Any) -> Project:
    """The project with settings of its model replaced, trained and measured."""
    changed = change_config(project, "model", **changes)
    run_train(changed)
    measure(changed)
    return changed


def measure(project: Project) -> None:
    """Evaluate the candidate, with empty files as pictures: to draw takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("{{ cookiecutter.__package }}.plots.save_figure", lambda _, path: path.touch())
        run_evaluate(project)


def run_pipeline(project: Project) -> str:
    """From raw files to `latest`."""
    run_data(project)
    return promote_model(make_candidate(project))


def copy_version(project: Project) -> str:
    """Make the first version once more, under the next number."""
    registry = Registry(project.models)
    with registry.locked(), registry.new_version() as (name, folder):
        shutil.copytree(registry.folder("v1"), folder, dirs_exist_ok=True)
        manifest = registry.manifest("v1").model_copy(update={"version": name})
        write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    return name


def read_files(folder: Path) -> dict[str, bytes]:
    """Each file below a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Ask again and again until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited for {seconds} s"
        time.sleep(0.02)
