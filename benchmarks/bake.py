"""Measure what a bake costs, always against something else in the same run.

Each ratio is one of medians; its two sides take turns, so that both meet the same machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).parents[1]
ROUNDS = 15

Action = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """A measured number, with the number that it should not exceed."""

    what: str
    measured: float
    unit: str
    aim: float | None = None

    def row(self) -> str:
        """Return the figure as a line of a Markdown table."""
        aim = "" if self.aim is None else f"{self.aim:g}{self.unit}"
        return f"| {self.what} | {self.measured:.2f}{self.unit} | {aim} |"


def main() -> None:
    """Print all figures as one Markdown table."""
    # Users bake with compiled modules; compiling them each time would hide what a bake adds.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        figures = [*whole_process(Path(folder)), *one_process(Path(folder)), exhaustive_check()]
    print("| What | Measured | Aim |\n|---|---|---|")
    print("\n".join(figure.row() for figure in figures))


def whole_process(folder: Path) -> list[Figure]:
    """Compare the command line with merely importing cookiecutter, and with copying its result."""
    cli = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config", str(TEMPLATE)]
    baked = new_folders(folder / "process")
    copies = new_folders(folder / "copy")
    run([*cli, "--output-dir", str(folder)])
    project = next(path for path in folder.iterdir() if (path / "README.md").exists())

    bake, imported = in_turn(
        lambda: run([*cli, "--output-dir", baked()]),
        lambda: run([sys.executable, "-c", "import cookiecutter.main"]),
    )
    bake_again, copied = in_turn(
        lambda: run([*cli, "--output-dir", baked()]),
        lambda: run(["cp", "-r", str(project), copies()]),
    )
    return [
        Figure("bake / `python -c 'import cookiecutter.main'`", bake / imported, "", 1.5),
        Figure("bake / `cp -r` of the result", bake_again / copied, ""),
        Figure("bake, whole process", bake * 1000, " ms"),
        Figure("files in the default project", count_files(project), ""),
    ]


def one_process(folder: Path) -> list[Figure]:
    """Measure a bake by the API, without Python's start and cookiecutter's import."""
    baked = new_folders(folder / "api")
    project = Path(bake_here(baked()))
    seconds = [timed(lambda: bake_here(baked())) for _ in range(ROUNDS)]
    each = median(seconds) / count_files(project)
    return [Figure("bake in one process, per file", each * 1000, " ms", 0.8)]


def exhaustive_check() -> Figure:
    """Measure the tests of every combination, start of pytest, real bakes and all, per combination."""
    sys.path.append(str(TEMPLATE / "tests"))
    from combinations import every_combination

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/test_every_combination.py",
        "tests/test_one_option.py",
    ]
    each = timed(lambda: run(command)) / len(every_combination())
    return Figure(f"each of {len(every_combination())} combinations tested", each * 1000, " ms", 5)


def bake_here(output: str) -> str:
    """Bake the default project by the API and return its path."""
    with silent():
        path: str = cookiecutter(str(TEMPLATE), no_input=True, output_dir=output, default_config=True)
    return path


@contextmanager
def silent() -> Iterator[None]:
    """Drop what this process and the hooks that it starts print."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - os.devnull is no path to speak of
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def in_turn(first: Action, second: Action) -> tuple[float, float]:
    """Return the median seconds of two actions, run by turns after one round that does not count."""
    first()
    second()
    rounds = [(timed(first), timed(second)) for _ in range(ROUNDS)]
    return median(one for one, _ in rounds), median(other for _, other in rounds)


def timed(action: Action) -> float:
    """Return the seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def run(command: list[str]) -> None:
    """Run a command in the template and fail where it fails."""
    subprocess.run(command, cwd=TEMPLATE, check=True, capture_output=True)


def new_folders(parent: Path) -> Callable[[], str]:
    """Return a function that names a folder which does not exist, another one at each call."""
    parent.mkdir()
    numbers = iter(range(10_000))
    return lambda: str(parent / str(next(numbers)))


def count_files(project: Path) -> int:
    """Return the number of files in a project."""
    return sum(path.is_file() for path in project.rglob("*"))


if __name__ == "__main__":
    main()
