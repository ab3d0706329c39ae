"""Measure the stage `data` of a generated project: `python benchmarks/data.py PROJECT`.

PROJECT is a project after `make setup`. Its stage reads generated rows of the sample's form, in turn with
polars that merely scans the same CSV and writes Parquet; both are whole processes, imports and all.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROUNDS = 5
SMALL = 1_000_000
LARGE = 10_000_000

SCAN = "import sys, polars; polars.scan_csv(sys.argv[1], null_values='NA').sink_parquet(sys.argv[2])"


@dataclass(frozen=True)
class Cost:
    """What a process took: CPU seconds of all its threads, and its largest memory in MB."""

    cpu: float
    memory: float


def main() -> None:
    """Print the ratio of CPU time and the peak memory as a Markdown table."""
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/data.py PROJECT (a project after make setup)")
    project = Path(sys.argv[1]).resolve()
    python = next((path for path in python_paths(project) if path.exists()), None)
    if python is None:
        sys.exit(f"{project} has no .venv: run make setup in it.")
    package = next((project / "src").glob("*/cli.py")).parent.name
    print("| What | Measured | Aim |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(project / "config", root / "config")
        raw = root / "data" / "raw" / "rows.csv"
        raw.parent.mkdir(parents=True)
        stage = [str(python), "-m", package, "data"]
        scan = [str(python), "-c", SCAN, str(raw), str(root / "scanned.parquet")]
        for rows, rounds in ((SMALL, ROUNDS), (LARGE, 1)):
            write_rows(raw, rows)
            rates = [(measure(stage, root), measure(scan, root)) for _ in range(rounds + 1)][1:]
            ratio = median(one.cpu for one, _ in rates) / median(other.cpu for _, other in rates)
            peak = max(one.memory for one, _ in rates)
            print(f"| `data`, {rows:,} rows, CPU / polars scanning and writing | {ratio:.2f} | 1.7 |")
            print(f"| `data`, {rows:,} rows, peak memory | {peak:.0f} MB | 700 MB |", flush=True)


def python_paths(project: Path) -> Iterator[Path]:
    """Yield where the project's Python may be."""
    yield project / ".venv" / "bin" / "python"
    yield project / ".venv" / "Scripts" / "python.exe"


def measure(command: list[str], root: Path) -> Cost:
    """Run a command in a project and return its cost; exit where it fails."""
    environment = os.environ | {"PROJECT_ROOT": str(root)}
    silent = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
    child = os.posix_spawn(command[0], command, environment, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed; run it with PROJECT_ROOT={root}.")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Cost(usage.ru_utime + usage.ru_stime, kilobytes / 1024)


def write_rows(path: Path, rows: int) -> None:
    """Write penguins that never were, all within the sample's limits, a block at a time."""
    generator = random.Random(0)  # noqa: S311 - nothing secret
    kinds = [("Adelie", "Torgersen"), ("Chinstrap", "Dream"), ("Gentoo", "Biscoe")]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year\n")
        for _ in range(rows):
            species, island = generator.choice(kinds)
            file.write(
                f"{species},{island},{generator.uniform(30, 60):.2f},{generator.uniform(12, 22):.2f},"
                f"{generator.randint(170, 240)},{generator.randint(2700, 6300)},"
                f"{generator.choice(('male', 'female', 'NA'))},{generator.choice((2007, 2008, 2009))}\n"
            )


if __name__ == "__main__":
    main()
