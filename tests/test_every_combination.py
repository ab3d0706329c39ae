"""Every valid combination of answers is composed and held against what the template says of it.

One test is one fact, and names each combination that lacks it.
"""

from __future__ import annotations

import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import combinations
import pytest
from combinations import (
    Combination,
    covering_combinations,
    default_combination,
    every_combination,
    label,
    options,
    pairs,
)
from composing import ComposedProject, Composer, combinations_where, composer, options_read, parents
from conftest import Bake
from inspecting import (
    foreign_words,
    imported_files,
    leftovers,
    missing,
    missing_modules,
    parse,
    references,
)
from jinja2 import ChoiceLoader, DictLoader, UndefinedError

from answers import LONGEST
from hooks.post_gen_project import PIECES

ARRAY = covering_combinations()

each_of_the_array = pytest.mark.parametrize("combination", ARRAY, ids=label)


@each_of_the_array
def test_a_bake_writes_what_was_composed(combination: Combination, bake: Bake) -> None:
    baked, composed = bake(**combination), composer().compose(combination)
    assert baked.files == composed.files
    assert baked.folders == composed.folders
    assert [file for file in baked.files if baked.digests[file] != composed.digests[file]] == []


def test_every_piece_is_a_path_of_the_skeleton() -> None:
    paths = {path for file in composer().files for path in (file.path, *parents(file.path))}
    assert [piece for piece in PIECES if piece.format(package=composer().package) not in paths] == []


def test_every_file_parses() -> None:
    errors = {}
    for file, text in composer().distinct_texts():
        try:
            parse(file, text)
        except Exception as error:
            errors[file] = str(error)
    assert errors == {}


def test_no_template_tag_is_left() -> None:
    # The package has templates of its own, which are not cookiecutter's.
    texts = ((file, text) for file, text in composer().distinct_texts() if not file.endswith(".jinja"))
    assert {file: tags for file, text in texts if (tags := leftovers(text))} == {}


def test_no_file_speaks_of_a_file_that_is_not_there() -> None:
    assert combinations_where(speaks_of_missing_files) == {}


def test_no_module_imports_a_module_that_is_not_there() -> None:
    assert combinations_where(imports_missing_modules) == {}


def test_nothing_is_left_of_answers_that_were_not_given() -> None:
    assert combinations_where(has_words_of_other_answers) == {}


@pytest.mark.parametrize(
    ("slug", "version"),
    [
        *(("ml-project", version) for version in options()["python_version"]),
        ("a", options()["python_version"][0]),
        ("p" * LONGEST["project_slug"], options()["python_version"][0]),
    ],
)
def test_ruff_has_nothing_to_say_whatever_the_length_of_the_name(
    slug: str, version: str, tmp_path: Path
) -> None:
    trees = lay_out(composer(slug), {**default_combination(), "python_version": version}, tmp_path)
    for command in (["ruff", "check", "--no-cache"], ["ruff", "format", "--check", "--no-cache"]):
        done = subprocess.run([*command, *trees], cwd=tmp_path, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_is_told_the_same_whatever_the_answers() -> None:
    texts = (text for _, text in composer().distinct_texts("pyproject.toml"))
    settings = [tomllib.loads(text)["tool"]["ruff"] for text in texts]
    assert [other for other in settings if other != settings[0]] == []


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("{{ cookiecutter.project_name | quoted }} {{ cookiecutter.__package }}", []),
        (
            '# {% if cookiecutter.serving != "none" and cookiecutter.task %}\n# {% endif %}',
            ["task", "serving"],
        ),
        ('# {% include cookiecutter.license ~ ".txt" %}', ["license"]),
        ("{{ cookiecutter['serving'] }}", list(options())),
        ("{{ cookiecutter | chosen }}", list(options())),
        ("# {% set it = cookiecutter.serving %}\n{{ it }}", list(options())),
    ],
)
def test_the_answers_that_a_text_reads_are_found(source: str, read: list[str]) -> None:
    environment = composer().environment
    with_file = environment.overlay(loader=ChoiceLoader([DictLoader({"file": source}), environment.loader]))
    assert options_read(with_file, "file") == read


def test_a_file_is_rendered_with_no_answer_but_those_it_reads() -> None:
    readme = next(file for file in composer().files if file.path == "README.md")
    with pytest.raises(UndefinedError):
        readme.render({option: default_combination()[option] for option in readme.reads[1:]})


def test_the_covering_array_holds_every_pair_of_answers() -> None:
    everything = every_combination()
    assert set().union(*map(pairs, ARRAY)) == set().union(*map(pairs, everything))
    assert len(ARRAY) < len(everything)
    assert default_combination() in everything


def test_a_rule_takes_combinations_out_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    default = default_combination()
    monkeypatch.setattr(combinations, "RULES", [lambda combination: combination == default])
    assert every_combination() == [default]
    assert [project.answers for project in Composer().projects()] == [default]


def test_each_combination_that_lacks_a_fact_is_named() -> None:
    with_flask = combinations_where(
        lambda project: {file: ["x"] for file in project.files if "flask" in file}
    )
    assert set(with_flask) == {label(each) for each in every_combination() if each["serving"] == "flask"}


def speaks_of_missing_files(project: ComposedProject) -> dict[str, list[str]]:
    """Return the paths that a file speaks of and that are not there."""
    spoken_of = {file: missing(references(file, text), project.files) for file, text in project.texts}
    return {file: paths for file, paths in spoken_of.items() if paths}


def imports_missing_modules(project: ComposedProject) -> dict[str, list[str]]:
    """Return the project's own modules that a file imports and that are not there."""
    imported = {
        file: missing_modules(imported_files(file, text), project.files) for file, text in project.texts
    }
    return {file: modules for file, modules in imported.items() if modules}


def has_words_of_other_answers(project: ComposedProject) -> dict[str, list[str]]:
    """Return the words that belong to an answer which was not given."""
    answers = frozenset(project.answers.items())
    found = {file: foreign_words(file, text, answers) for file, text in project.texts}
    return {file: words for file, words in found.items() if words}


def lay_out(composed: Composer, answers: Combination, folder: Path) -> list[str]:
    """Write each Python file and notebook into as many trees as it has texts, and return the trees."""
    project = composed.compose(answers)
    # By these ruff knows its settings, and which imports are the project's own.
    always = {
        file: project.contents[file].data
        for file in ("pyproject.toml", f"src/{composed.package}/__init__.py")
    }
    numbers = Counter[str]()
    for file, text in composed.distinct_texts(".py", ".ipynb"):
        numbers[file] += 1
        tree = folder / str(numbers[file])
        for path, data in {**always, file: text.encode()}.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
    return [str(number) for number in range(1, max(numbers.values()) + 1)]
