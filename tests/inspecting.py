"""What can be said of one file of a generated project by looking at it.

Every function depends on its arguments alone and remembers its results, so a content that many
combinations share is looked at once.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import yaml

LEFTOVER = re.compile(r"\{\{ ?cookiecutter|cookiecutter\.\w+|# ?\{%|\{% ")

LINK = re.compile(r"\]\((?!\w+:|#)<?([^)\s#>]+)")
"""The target of a Markdown link that leads to another file."""

MENTION = re.compile(
    r"(?<![\w./$<>{}-])((?:config|deploy|docs|notebooks|scripts|src|tests|data/raw|\.github)/[\w./-]*\w)"
)
"""A path of the project in the middle of a text, a command or a recipe."""

OTHER_LAYOUTS = "## Coming from another layout\n"
"""The heading of a table whose first column has the paths of other projects."""

COPIED = re.compile(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", re.MULTILINE)
"""The sources of a Dockerfile's COPY, but for those of other stages and images."""

MADE = (
    ".venv/",
    "config/adopted.json",
    "config/previous",
    "config/adopted.json",
    "config/previous",
    "deploy/outputs",
    "deploy/outputs",
    "deploy/terraform/aws/.terraform.lock.hcl",
    "scripts/train_xgboost.py",
    "uv.lock",
)
"""What a project's own commands and its guide make; its texts may speak of that before it is there."""

PROSE = {".md", ".toml", ".yaml", ".yml", ".ipynb", ".sh", ".html", ""}
"""Suffixes of the files whose every word counts; in Python only the imports do."""

ONLY_FOR: dict[tuple[str, str], str] = {
    ("license", "MIT"): r"\bMIT\b",
    ("license", "Apache-2.0"): r"\bApache\b",
    ("license", "BSD-3-Clause"): r"\bBSD\b",
    ("serving", "fastapi"): r"(?i)\b(fastapi|starlette|uvicorn|asgi)\b",
    ("serving", "flask"): r"(?i)\b(flask|granian|wsgi)\b",
    ("data_versioning", "dvc"): r"(?i)\b(dvc|dvcignore)\b",
    ("monitoring", "drift"): r"(?i)\b(drift|monitor|monitoring)\b",
    ("tracking", "mlflow"): r"(?i)(?<![a-z])mlflow",
    ("containers", "docker|kubernetes"): r"(?i)\b(docker\w*|podman|sagemaker)\b",
    ("containers", "kubernetes"): r"(?i)\b(kubectl|kustomize|kustomization)\b",
    ("ci", "github"): r"(?i)\.github/|github actions|github\.com/actions|\bgh (?:api|run)\b",
    ("ci", "gitlab"): r"(?i)gitlab",
    ("cloud", "aws|aws-cloudformation"): (
        r"(?i)\b(cloudformation|boto3|oidc)\b|make (deploy|train-cloud|push-images|infra-\w+)"
    ),
    ("cloud", "aws"): r"(?i)\bterraform\b",
}
"""Words that only a project with this answer, or one of these, may contain, each within a line."""


@cache
def parse(file: str, text: str) -> None:
    """Parse a file by its suffix; raises that parser's error."""
    parser = PARSERS.get(PurePosixPath(file).suffix)
    if parser:
        parser(text)


@cache
def leftovers(text: str) -> list[str]:
    """Return what cookiecutter should have rendered."""
    return LEFTOVER.findall(text)


@cache
def references(file: str, text: str) -> frozenset[str]:
    """Return the paths of the project, relative to its root, that a file speaks of.

    Tests speak of files that they make, so theirs do not count.
    """
    path = PurePosixPath(file)
    here, _, elsewhere = text.partition(OTHER_LAYOUTS)
    text = here + re.sub(r"^\|[^|]*\|", "|", elsewhere, flags=re.MULTILINE)
    found = set() if file.startswith("tests/") else set(MENTION.findall(text))
    if path.suffix == ".md":
        found.update(resolved(path.parent, target) for target in LINK.findall(text))
    if path.name.endswith("Dockerfile"):
        found.update(source for sources in COPIED.findall(text) for source in sources.split())
    return frozenset(found)


@cache
def missing(paths: frozenset[str], files: frozenset[str]) -> list[str]:
    """Return the paths that are neither a file, nor a folder with files, nor made by running."""
    there = _with_folders(files)
    return sorted(path for path in paths if path.rstrip("/") not in there and not path.startswith(MADE))


def foreign_words(file: str, text: str, answers: frozenset[tuple[str, str]]) -> list[str]:
    """Return words that belong to an answer which was not given."""
    owned = words_of_answers(file, text)
    return [word for answer, words in owned.items() if not is_given(answer, answers) for word in words]


def is_given(answer: tuple[str, str], answers: frozenset[tuple[str, str]]) -> bool:
    """Tell whether one of the choices, between bars, was answered to a question."""
    question, choices = answer
    return any((question, choice) in answers for choice in choices.split("|"))


@cache
def words_of_answers(file: str, text: str) -> dict[tuple[str, str], list[str]]:
    """Return the words of a file that belong to an answer, by answer."""
    if PurePosixPath(file).suffix == ".py":
        text = "\n".join(imported_modules(text))
    elif PurePosixPath(file).suffix not in PROSE:
        return {}
    found: dict[tuple[str, str], list[str]] = {}
    for line in text.split("\n"):
        for answer, words in words_in_line(line).items():
            found.setdefault(answer, []).extend(words)
    return found


@cache
def words_in_line(line: str) -> dict[tuple[str, str], list[str]]:
    """Return the words of a line that belong to an answer, by answer; texts differ by few of their lines."""
    found = {answer: re.findall(words, line) for answer, words in ONLY_FOR.items()}
    return {answer: words for answer, words in found.items() if words}


def imported_modules(source: str) -> Iterator[str]:
    """Yield the name of every module that Python source imports."""
    for node in imports_in(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield node.module or ""


@cache
def imported_files(file: str, text: str) -> frozenset[str]:
    """Return the modules of the project that Python source imports: their paths, without a suffix."""
    if PurePosixPath(file).suffix != ".py":
        return frozenset()
    folders = [parent.as_posix() for parent in PurePosixPath(file).parents]
    found: set[str] = set()
    for node in imports_in(text):
        if isinstance(node, ast.Import):
            found.update(f"{place}{alias.name}" for alias in node.names for place in ("src/", ""))
        elif not node.level:
            found.update((f"src/{node.module}", f"{node.module}"))
        elif node.module:
            found.add(f"{folders[node.level - 1]}/{node.module}")
        else:
            found.update(f"{folders[node.level - 1]}/{alias.name}" for alias in node.names)
    return frozenset(module.replace(".", "/") for module in found)


@cache
def missing_modules(modules: frozenset[str], files: frozenset[str]) -> list[str]:
    """Return the modules that would be in a folder of the project's own, and are not there."""
    there = _with_modules(files)
    return sorted(module for module in modules if module not in there and _folders_of(module) & there)


@cache
def imports_in(source: str) -> list[ast.Import | ast.ImportFrom]:
    """Return every import of Python source, wherever it stands."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]


def resolved(folder: PurePosixPath, target: str) -> str:
    """Return where a link in ``folder`` leads, relative to the project."""
    parts: list[str] = []
    for part in (folder / target).parts:
        if part == "..":
            assert parts, f"{target} leads out of the project"
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


@cache
def _folders_of(module: str) -> frozenset[str]:
    return frozenset(parent.as_posix() for parent in PurePosixPath(module).parents) - {".", "src"}


@cache
def _with_modules(files: frozenset[str]) -> frozenset[str]:
    return _with_folders(files).union(file.removesuffix(".py") for file in files)


@cache
def _with_folders(files: frozenset[str]) -> frozenset[str]:
    return files.union(parent.as_posix() for file in files for parent in PurePosixPath(file).parents)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Takes CloudFormation's short functions, such as `!Ref`, for what they are given."""


def _take(loader: Any, _: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else node.value


_Loader.add_multi_constructor("!", _take)


def _parse_yaml(text: str) -> None:
    for _ in yaml.load_all(text, _Loader):
        pass


def _parse_notebook(text: str) -> None:
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            ast.parse("".join(line for line in cell["source"] if not line.startswith("%")))


PARSERS: dict[str, Callable[[str], object]] = {
    ".ipynb": _parse_notebook,
    ".json": json.loads,
    ".py": imports_in,
    ".toml": tomllib.loads,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
}
