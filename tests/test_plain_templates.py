"""The shortcut around Jinja renders what Jinja would, and steps aside where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from baking import SKELETON, skeleton_files
from composing import SETTINGS, Composer, composer, is_copied
from cookiecutter.utils import create_env_with_context
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import FileSystemLoader, UndefinedError

from plain_templates import PlainTemplate, is_plain

CONTEXT: dict[str, Any] = {"cookiecutter": SETTINGS}
JINJA = ["answers.Answers"]
"""The extensions without the shortcut."""

ENVIRONMENT = create_env_with_context({"cookiecutter": {**SETTINGS, "_extensions": JINJA}})

ANSWERS: dict[str, Any] = {"name": 'a "b" {{ c }}', "__package": "ml_project"}

TEXTS = st.lists(
    st.sampled_from(
        [
            "a/b",
            "{{cookiecutter.name}}",
            "{{ cookiecutter.__package }}",
            "{{ cookiecutter.name | quoted }}",
            "{{ cookiecutter.name|markdown }}",
            *"{}\n #%",
        ]
    )
).map("".join)
CONDITIONS = st.builds(
    'cookiecutter.{} {} "{}"'.format,
    st.sampled_from(["__package", "__package", "unknown"]),
    st.sampled_from(["==", "!="]),
    st.sampled_from(["ml_project", "other"]),
)


def blocks(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Draw texts with a block in them that has a condition or several."""
    others = st.lists(st.builds("# {{% elif {} %}}\n{}\n".format, CONDITIONS, inside), max_size=2).map(
        "".join
    )
    last = st.just("") | st.builds("  # {{% else %}}\n{}\n".format, inside)
    block = "{}\n# {{% if {} %}}\n{}\n{}{}# {{% endif %}}\n{}"
    return st.builds(block.format, inside, CONDITIONS, inside, others, last, inside)


def by_jinja(source: str) -> str:
    """Render with cookiecutter's environment, without the shortcut."""
    return str(ENVIRONMENT.from_string(source).render(cookiecutter=ANSWERS))


def by_shortcut(source: str) -> str:
    return PlainTemplate(source).render(cookiecutter=ANSWERS)


def outcome(render: Callable[[str], str], source: str) -> str | type[UndefinedError]:
    try:
        return render(source)
    except UndefinedError as error:
        return type(error)


@given(st.text(max_size=40) | TEXTS | st.recursive(TEXTS, blocks, max_leaves=6))
def test_a_plain_text_is_rendered_as_by_jinja(text: str) -> None:
    if is_plain(text):
        assert outcome(by_shortcut, text) == outcome(by_jinja, text)


@given(st.recursive(st.just("{{ cookiecutter.name }}"), blocks, max_leaves=6))
def test_lines_with_conditions_are_plain(text: str) -> None:
    assert is_plain(text)


def test_every_file_of_the_skeleton_is_rendered_as_by_jinja_for_all_answers() -> None:
    without = Composer(extensions=JINJA)
    said = {file.path: file.contents for file in composer().files}
    assert [file.path for file in without.files if file.contents != said[file.path]] == []


def test_the_license_which_includes_one_of_several_texts_is_the_only_file_that_waits_for_jinja() -> None:
    rendered = [file for file in skeleton_files() if not is_copied(file)]
    waiting = [file for file in rendered if not is_plain((SKELETON / file).read_text(encoding="utf-8"))]
    assert waiting == ["LICENSE"]


@pytest.mark.parametrize("path", skeleton_files())
def test_every_path_of_the_skeleton_is_plain(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    "text",
    [
        "{{ a | b }}",
        "{{a}}",
        "{# a #}",
        "a\r\nb",
        "{{{ cookiecutter.a }}}",
        "{{ cookiecutter.a | upper }}",
        "# {% if a %}\n# {% endif %}\n",
        '# {% if cookiecutter.a == "b" and cookiecutter.c == "d" %}\n# {% endif %}\n',
        'a # {% if cookiecutter.a == "b" %}\n# {% endif %}\n',
    ],
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


def test_a_plain_file_takes_the_shortcut_and_one_with_an_include_does_not(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("from {{ cookiecutter.__package }} import a\n", encoding="utf-8")
    (tmp_path / "other.md").write_text('# {% include "plain.py" %}\n', encoding="utf-8")
    environment = create_env_with_context(CONTEXT)
    environment.loader = FileSystemLoader(tmp_path)
    assert isinstance(environment.get_template("plain.py"), PlainTemplate)
    other = environment.get_template("other.md")
    assert not isinstance(other, PlainTemplate)
    assert other.render(cookiecutter=ANSWERS) == "from ml_project import a\n"
