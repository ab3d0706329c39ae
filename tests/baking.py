"""Baking without the plumbing: cookiecutter's API, its user configuration and its prompts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cookiecutter.main import cookiecutter
from running import environment

TEMPLATE = Path(__file__).parents[1]
SKELETON = TEMPLATE / "{{cookiecutter.project_slug}}"


@dataclass(frozen=True)
class BakedProject:
    """A generated project and the answers that it was generated with."""

    path: Path
    answers: Mapping[str, str]

    @property
    def slug(self) -> str:
        """The project's folder and distribution name."""
        return self.path.name

    @property
    def package(self) -> str:
        """The import name of the project's package."""
        return self.slug.replace("-", "_")

    @cached_property
    def files(self) -> frozenset[str]:
        """Every file, as a path with slashes relative to the project."""
        return frozenset(
            path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if not path.is_dir()
        )

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder, the project itself as a dot."""
        folders = (Path(folder) for folder, _, _ in os.walk(self.path))
        return frozenset(folder.relative_to(self.path).as_posix() for folder in folders)

    @cached_property
    def texts(self) -> dict[str, str]:
        """The text of each file that is not binary."""
        contents = {file: (self.path / file).read_bytes() for file in sorted(self.files)}
        return {file: content.decode() for file, content in contents.items() if b"\0" not in content}

    @cached_property
    def digests(self) -> dict[str, str]:
        """The sha256 of each file's content and mode."""
        return {
            file: digest((self.path / file).read_bytes(), os.access(self.path / file, os.X_OK))
            for file in sorted(self.files)
        }

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What pyproject.toml says."""
        return tomllib.loads(self.texts["pyproject.toml"])

    def run(self, *command: str, **variables: str) -> str:
        """Run a command in the project and return what it printed.

        Raises ``AssertionError`` with all of that where the command fails, and ``TimeoutExpired``
        after 15 minutes.
        """
        done = subprocess.run(
            command,
            cwd=self.path,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=900,
        )
        assert done.returncode == 0, f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}"
        return done.stdout


def digest(content: bytes, is_executable: bool) -> str:
    """Return the sha256 of a file's content and mode."""
    return hashlib.sha256((b"x" if is_executable else b"-") + content).hexdigest()


@dataclass(frozen=True)
class Oven:
    """Bakes the template into folders of its own, apart from the user's cookiecutter settings."""

    folder: Path
    template: Path = TEMPLATE

    def bake(self, answers: Mapping[str, str], *, accept_hooks: bool = True) -> BakedProject:
        """Bake with answers given as on the command line, the defaults for the rest."""
        return self._bake(answers, accept_hooks=accept_hooks, extra_context=dict(answers), no_input=True)

    def bake_typed(self, answers: Mapping[str, str]) -> BakedProject:
        """Bake with answers typed at the prompts, Enter pressed at the rest."""
        questions = (
            answers.get(question, "")
            for question in json.loads((self.template / "cookiecutter.json").read_text(encoding="utf-8"))
            if not question.startswith("_")
        )
        with patch("builtins.input", lambda *_: next(questions)):
            return self._bake(answers, no_input=False)

    def configuration(self) -> Path:
        """Return a user configuration that keeps cookiecutter out of the home folder."""
        file = self.folder / "user.yaml"
        if not file.exists():
            folders = {name: str(self.folder / name) for name in ("cookiecutters_dir", "replay_dir")}
            file.write_text(json.dumps(folders), encoding="utf-8")
        return file

    def _bake(self, answers: Mapping[str, str], **options: Any) -> BakedProject:
        number = sum(1 for _ in self.folder.iterdir())
        path = cookiecutter(
            str(self.template),
            output_dir=str(self.folder / f"bake-{number}"),
            config_file=str(self.configuration()),
            **options,
        )
        return BakedProject(Path(path), dict(answers))


def skeleton_files() -> list[str]:
    """Return the files that git keeps or would keep in the skeleton, relative to it, with slashes."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=SKELETON,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    return sorted(file for file in set(listed.split("\0")) if file and (SKELETON / file).exists())
