"""The checks that every combination goes through refuse what they are there to refuse."""

from __future__ import annotations

import pytest
from inspecting import (
    foreign_words,
    imported_files,
    leftovers,
    missing,
    missing_modules,
    parse,
    references,
)

FILES = frozenset({"README.md", "docs/guides/serving.md", "config/schema.yaml"})
FLASK = frozenset({("serving", "flask"), ("license", "MIT")})


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.toml", "a = "),
        ("a.yaml", "a: [1"),
        ("a.yml", "a: 'b"),
        ("a.json", "{'a': 1}"),
        ("a.py", "def a(:"),
        ("a.ipynb", '{"cells": [{"cell_type": "code", "source": ["a ="]}]}'),
    ],
)
def test_a_file_that_does_not_parse_is_an_error(file: str, text: str) -> None:
    with pytest.raises(Exception, match=r".+"):
        parse(file, text)


@pytest.mark.parametrize(
    "text", ["{{ cookiecutter.x }}", "{{cookiecutter.x}}", "# {% if x %}", "#{% endif %}", "{% raw %}"]
)
def test_a_template_tag_is_a_leftover(text: str) -> None:
    assert leftovers(f"before {text} after")


def test_what_only_looks_like_a_tag_is_no_leftover() -> None:
    assert leftovers("${{ github.ref }} {{.Names}} f'{{x}}' 100 %}") == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("README.md", "[a guide](docs/guides/training.md)"),
        ("docs/guides/serving.md", "[the schema](../../config/columns.yaml#target)"),
        ("docs/guides/serving.md", "Edit `config/columns.yaml`."),
        ("Makefile", "check:\n\tpython scripts/check.py"),
        ("Dockerfile", "COPY --chown=app pyproject.toml uv.toml /app/"),
        ("deploy/docker/serving.Dockerfile", "COPY uv.toml ./"),
        (".github/workflows/ci.yml", "run: bash scripts/check.sh"),
        ("docs/layout.md", "## Coming from another layout\n\n| `src/a.py` | `src/b.py` |\n"),
    ],
)
def test_a_path_that_is_not_there_is_missing(file: str, text: str) -> None:
    assert missing(references(file, text), FILES)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "README.md",
            "[a guide](docs/guides/serving.md#keys), [home](https://example.org/docs/a.md), [up](#top)",
        ),
        ("docs/guides/serving.md", "[the schema](../../config/schema.yaml) of [all](../../README.md)"),
        ("docs/layout.md", "## Coming from another layout\n\n| `src/a.py` | `config/schema.yaml` |\n"),
        ("Dockerfile", "COPY --from=build /opt/venv /opt/venv"),
        ("README.md", "Everything in docs/guides, and ${HOME}/config/other.yaml and `.venv/bin/python`."),
    ],
)
def test_a_path_that_is_there_or_elsewhere_is_not_missing(file: str, text: str) -> None:
    assert missing(references(file, text), FILES) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", 'dependencies = ["fastapi>=0.100"]'),
        ("README.md", "Served by uvicorn."),
        ("src/a/serving/app.py", "from fastapi import FastAPI"),
        ("src/a/serving/app.py", "import uvicorn.config as c"),
        ("LICENSE", "Apache License"),
    ],
)
def test_a_word_of_another_answer_is_foreign(file: str, text: str) -> None:
    assert foreign_words(file, text, FLASK)


@pytest.mark.parametrize(("choice", "words"), [("none", ["docker"]), ("docker", []), ("kubernetes", [])])
def test_a_word_may_belong_to_one_of_several_answers(choice: str, words: list[str]) -> None:
    assert foreign_words("README.md", "Run it by docker.", frozenset({("containers", choice)})) == words


def test_a_word_of_the_answer_given_is_not_foreign() -> None:
    assert foreign_words("README.md", "Flask on granian, MIT", FLASK) == []
    assert foreign_words("a.py", "import flask  # unlike fastapi", FLASK) == []


MODULES = frozenset({"src/a/data/loading.py", "src/a/cli.py", "tests/test_a.py", "tests/toys.py"})


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("src/a/cli.py", "from .serving import app"),
        ("src/a/cli.py", "def main():\n    from .data.splitting import split"),
        ("src/a/cli.py", "from . import serving"),
        ("src/a/data/loading.py", "from ..schema import Schema"),
        ("tests/test_a.py", "from a.serving.app import app"),
        ("tests/test_a.py", "import a.serving"),
        ("tests/test_a.py", "from .helpers import help"),
    ],
)
def test_a_module_of_the_project_that_is_not_there_is_missing(file: str, text: str) -> None:
    assert missing_modules(imported_files(file, text), MODULES)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "src/a/cli.py",
            "from .data.loading import load, missing\nfrom .data import loading\nfrom . import data",
        ),
        ("src/a/data/loading.py", "from ..cli import app"),
        (
            "tests/test_a.py",
            "import numpy.linalg\nfrom a.cli import app\nfrom .toys import toy\nimport a.data.loading",
        ),
        ("README.md", "from .serving import app"),
    ],
)
def test_a_module_that_is_there_or_is_not_the_project_s_own_is_not_missing(file: str, text: str) -> None:
    assert missing_modules(imported_files(file, text), MODULES) == []
