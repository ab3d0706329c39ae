"""The shortcut around Jinja renders what Jinja would, and steps aside where it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from baking import TEMPLATE, skeleton_files
from cookiecutter.utils import create_env_with_context
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from plain_templates import PlainTemplate, is_plain

CONTEXT: dict[str, Any] = {
    "cookiecutter": json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
}
ANSWERS = {"name": 'a "b" {{ c }}', "__package": "ml_project"}

LIKELY = st.lists(
    st.sampled_from(["a/b", "{{cookiecutter.name}}", "{{ cookiecutter.__package }}", "{", "}", "\n", " "])
)


def by_jinja(source: str) -> str:
    """Render with cookiecutter's environment, without our extensions."""
    settings = {name: value for name, value in CONTEXT["cookiecutter"].items() if name != "_extensions"}
    environment = create_env_with_context({"cookiecutter": settings})
    return str(environment.from_string(source).render(cookiecutter=ANSWERS))


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
