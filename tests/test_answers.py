"""An answer is refused with what to answer instead, or every file says exactly what was typed."""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from baking import TEMPLATE, BakedProject, Oven, skeleton_files
from combinations import default_combination, options
from conftest import Bake
from cookiecutter.exceptions import FailedHookException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inspecting import parse
from markdown_it import MarkdownIt

import answers as rules
from answers import DEPENDENCIES, checked, markdown, quoted, wrong_answers

GOOD = {
    "project_name": "Penguin weights",
    "project_slug": "penguin-weights",
    "description": "How heavy is a penguin?",
    "author": "Ada",
    **default_combination(),
}

TYPED = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).map(str.strip).filter(bool)
"""Anything that can be typed at a prompt, which takes the spaces off the ends."""

MARKDOWN_LIKELY = (
    st.text("ab 1-+=.)#*_`~<>[]()!|\\&;:{}\"'$%@/", min_size=1, max_size=30).map(str.strip).filter(bool)
)

HOSTILE_TEXTS = [
    'a "quoted" answer',
    "it's",
    "back\\slash \\n \\u0041",
    "{% raw %}",
    "{{ 7*7 }}",
    "{# gone #}",
    "# {% if true %}",
    "two\nlines",
    "tab\there",
    "bell\a",
    "right\u202eto left",
    "été 機械学習 🐧",
    "''' \"\"\" '''",
    "a: b - [c]",
    "<b>bold</b> & &amp; *more* _still_ `code` ~~gone~~",
    "- item",
    "1. first",
    "= = =",
    "%s ${HOME} $(pwd) %PATH%",
    "@team #1 !important | pipe",
    "x" * 300,
]

WRONG_SLUGS = [
    "", "1st", "-dash", "_under", "dash-", "two--dashes", "Capital", "with space", "dot.dot", "../up", "a/b",
    "a\\b", "ünder", "two\nlines", "new\n", "class", "match", "json", "asyncore", "annotationlib", "numpy",
    "scikit-learn", "sklearn", "tests", "src", "con", "com1", "x" * 300, "{{x}}",
]  # fmt: skip


@pytest.mark.parametrize("slug", WRONG_SLUGS)
def test_a_slug_that_cannot_be_a_package_is_refused(slug: str) -> None:
    problems = list(wrong_answers({**GOOD, "project_slug": slug}))
    assert problems
    assert all(problem.startswith("project_slug ") and ": " in problem for problem in problems)


@pytest.mark.parametrize("slug", ["a", "penguins", "penguin-weights", "penguin_weights-2", "x" * 40])
def test_a_slug_that_can_be_a_package_is_taken(slug: str) -> None:
    assert list(wrong_answers({**GOOD, "project_slug": slug})) == []


def test_a_long_name_gives_a_slug_that_is_taken(oven: Oven) -> None:
    assert (
        oven.bake_typed({"project_name": "How heavy is " * 6}).slug
        == "how-heavy-is-how-heavy-is-how-heavy-is"
    )


@pytest.mark.parametrize("word", sorted({*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names}))
def test_no_word_of_python_is_taken(word: str) -> None:
    assert list(wrong_answers({**GOOD, "project_slug": word}))


@pytest.mark.parametrize("option", default_combination())
def test_a_choice_that_is_not_offered_is_refused_with_the_choices(option: str) -> None:
    with pytest.raises(FailedHookException, match=f'{option} is "other": answer one of {GOOD[option]}'):
        checked({**GOOD, option: "other"})


@pytest.mark.parametrize(
    "text", ["", " ", " padded", "padded ", "two\nlines", "x" * 201, "\u202e", "{{ x }}"]
)
@pytest.mark.parametrize("question", ["project_name", "description", "author"])
def test_a_text_that_is_no_single_printable_line_is_refused(question: str, text: str) -> None:
    assert [problem.split()[0] for problem in wrong_answers({**GOOD, question: text})] == [question]


def test_all_wrong_answers_are_said_in_one_message() -> None:
    with pytest.raises(FailedHookException) as refused:
        checked({**GOOD, "project_slug": "1st", "author": "", "license": "GPL", "description": "d" * 201})
    assert re.findall(r"^  - (\w+) ", str(refused.value), re.MULTILINE) == [
        "description", "author", "project_slug", "license",
    ]  # fmt: skip


def test_the_command_line_refuses_without_a_traceback_and_writes_nothing(tmp_path: Path, oven: Oven) -> None:
    output = tmp_path / "output"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cookiecutter",
            "--no-input",
            "--config-file",
            oven.configuration(),
            "--output-dir",
            output,
            TEMPLATE,
            "project_slug=json",
            "author=",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "Nothing was written, because of these answers:",
        "  - author is empty: answer with 1 to 100 characters.",
        '  - project_slug is "json", a module of Python\'s own: add a word, as in "json-model".',
        "Run the same command again and answer these differently.",
    ]
    assert not output.exists()


def test_a_replay_file_with_a_wrong_answer_is_refused_and_leaves_nothing(oven: Oven) -> None:
    oven.bake({})
    replay = oven.folder / "replay_dir" / f"{TEMPLATE.name}.json"
    edited = json.loads(replay.read_text(encoding="utf-8"))
    edited["cookiecutter"]["serving"] = "tornado"
    replay.write_text(json.dumps(edited), encoding="utf-8")
    output = oven.folder / "replayed"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cookiecutter",
            "--replay",
            "--config-file",
            oven.configuration(),
            "--output-dir",
            output,
            TEMPLATE,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "Nothing was written, because of these answers:",
        '  - serving is "tornado": answer one of fastapi, flask, none.',
        "Run the same command again and answer these differently.",
    ]
    assert not output.exists()


def test_a_package_cannot_be_given_a_name_of_its_own(oven: Oven) -> None:
    with pytest.raises(FailedHookException, match='__package is "os": leave it out'):
        oven.bake({"__package": "os"})


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_a_hostile_answer_is_refused_or_written_exactly(text: str, oven: Oven) -> None:
    assert_refused_or_written_exactly(text, oven)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TYPED | MARKDOWN_LIKELY)
def test_any_answer_is_refused_or_written_exactly(text: str, oven: Oven) -> None:
    assert_refused_or_written_exactly(text, oven)


def assert_refused_or_written_exactly(text: str, oven: Oven) -> None:
    """Type the text at three prompts and read it back from the files."""
    typed = {"project_name": text, "project_slug": "penguins", "description": text, "author": text}
    if list(wrong_answers({**GOOD, **typed})):
        with pytest.raises(FailedHookException, match="description "):
            oven.bake_typed(typed)
        return
    project = oven.bake_typed(typed)
    says_exactly(project, text)


def says_exactly(project: BakedProject, text: str) -> None:
    for file, content in project.texts.items():
        parse(file, content)
    assert project.settings["project"]["description"] == text
    assert project.settings["project"]["authors"][0]["name"] == text
    assert f"Copyright (c) {text}\n" in project.texts["LICENSE"]
    assert shown(project.texts["README.md"])[0] == text


def shown(source: str) -> list[str]:
    """Return the text of each block of Markdown as a reader sees it."""
    return [
        "".join(
            part.content
            for part in block.children or []
            if part.type in {"text", "code_inline", "text_special"}
        )
        for block in MarkdownIt("gfm-like", {"linkify": False}).parse(source)
        if block.type == "inline"
    ]


printable = TYPED.filter(str.isprintable)


@given(printable | MARKDOWN_LIKELY)
def test_quoted_is_the_same_string_in_toml_yaml_and_json(text: str) -> None:
    assert tomllib.loads(f"a = {quoted(text)}") == {"a": text}
    assert yaml.safe_load(f"a: {quoted(text)}") == {"a": text}
    assert json.loads(quoted(text)) == text


@given(printable | MARKDOWN_LIKELY)
def test_markdown_shows_the_text_in_every_place(text: str) -> None:
    assert shown(markdown(text)) == [text]
    assert shown(f"# {markdown(text)}") == [text]
    assert shown(f"- {markdown(text)}") == [text]
    assert shown(f"Before.\n{markdown(text)}") == [f"Before.{text}"]


def test_plain_text_stays_readable_as_markdown() -> None:
    assert (
        markdown("How heavy is a penguin? (In grams, 95% sure.)")
        == "How heavy is a penguin? (In grams, 95% sure.)"
    )


@pytest.mark.parametrize("serving", options()["serving"])
def test_every_dependency_of_a_project_is_a_name_that_cannot_be_taken(serving: str, bake: Bake) -> None:
    project = tomllib.loads((bake(serving=serving).path / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    lists = [project["project"]["dependencies"], *extras, *project["dependency-groups"].values()]
    named = {requirement for each in lists for requirement in each if isinstance(requirement, str)}
    required = {re.split(r"[^\w.-]", requirement)[0] for requirement in named}
    assert {name.lower().replace("-", "_") for name in required} <= DEPENDENCIES


def test_every_folder_of_the_skeleton_is_a_name_that_cannot_be_taken() -> None:
    folders = {file.split("/")[0] for file in skeleton_files() if "/" in file}
    assert {folder for folder in folders if not folder.startswith(".")} <= rules.FOLDERS
