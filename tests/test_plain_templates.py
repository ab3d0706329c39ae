"""The shortcut around Jinja renders what Jinja would, and steps aside where it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from baking import SKELETON, TEMPLATE, skeleton_files
from cookiecutter.utils import create_env_with_context
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import FileSystemLoader, UndefinedError

from plain_templates import PlainTemplate, is_plain

CONTEXT: dict[str, Any] = {
    "cookiecutter": json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
}
ANSWERS: dict[str, Any] = {"name": 'a "b" {{ c }}', "__package": "ml_project"}

LIKELY = st.lists(
    st.sampled_from(["a/b", "{{cookiecutter.name}}", "{{ cookiecutter.__package }}", "{", "}", "\n", " "])
)


def is_plain_file(file: str) -> bool:
    try:
        text = (SKELETON / file).read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return "{{ cookiecutter." in text and is_plain(text)


def by_jinja(source: str, answers: dict[str, Any] = ANSWERS) -> str:
    """Render with cookiecutter's environment, without our extensions."""
    settings = {name: value for name, value in CONTEXT["cookiecutter"].items() if name != "_extensions"}
    environment = create_env_with_context({"cookiecutter": settings})
    return str(environment.from_string(source).render(cookiecutter=answers))


def by_shortcut(source: str) -> str:
    return PlainTemplate(source).render(cookiecutter=ANSWERS)


def outcome(render: Callable[[str], str], source: str) -> str | type[UndefinedError]:
    try:
        return render(source)
    except UndefinedError as error:
        return type(error)


@given(st.text(max_size=40) | LIKELY.map("".join))
def test_a_plain_text_is_rendered_as_by_jinja(text: str) -> None:
    if is_plain(text):
        assert outcome(by_shortcut, text) == outcome(by_jinja, text)


@pytest.mark.parametrize("path", skeleton_files())
def test_every_path_of_the_skeleton_is_plain(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    "text", ["{{ a | b }}", "{{a}}", "# {% if a %}", "{# a #}", "a\r\nb", "{{ cookiecutter.a | b }}"]
)
def test_what_is_more_than_plain_is_left_to_jinja(text: str) -> None:
    assert not is_plain(text)


def test_an_unknown_answer_is_the_error_that_jinja_raises() -> None:
    assert outcome(by_jinja, "{{ cookiecutter.unknown }}") is UndefinedError
    assert outcome(by_shortcut, "{{ cookiecutter.unknown }}") is UndefinedError


def test_cookiecutter_takes_the_shortcut() -> None:
    environment = create_env_with_context(CONTEXT)
    assert isinstance(environment.from_string("src/{{cookiecutter.__package}}/cli.py"), PlainTemplate)
    assert environment.from_string("{{ 'a' | upper }}").render() == "A"


def test_a_plain_file_takes_the_shortcut_and_one_with_blocks_does_not(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("from {{ cookiecutter.__package }} import a\n", encoding="utf-8")
    (tmp_path / "blocks.md").write_text('# {% include "plain.py" %}\n', encoding="utf-8")
    environment = create_env_with_context(CONTEXT)
    environment.loader = FileSystemLoader(tmp_path)
    assert isinstance(environment.get_template("plain.py"), PlainTemplate)
    blocks = environment.get_template("blocks.md")
    assert not isinstance(blocks, PlainTemplate)
    assert blocks.render(cookiecutter=ANSWERS) == "from ml_project import a\n"


@pytest.mark.parametrize("file", [file for file in skeleton_files() if is_plain_file(file)])
def test_every_plain_file_of_the_skeleton_is_rendered_as_by_jinja(file: str) -> None:
    text = (SKELETON / file).read_text(encoding="utf-8")
    answers = {**json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8")), **ANSWERS}
    assert PlainTemplate(text).render(cookiecutter=answers) == by_jinja(text, answers)
