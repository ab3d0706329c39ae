"""Every valid combination of answers is rendered and held against what the template says of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import combinations
import pytest
from baking import BakedProject, skeleton_files
from combinations import (
    Combination,
    covering_array,
    default_combination,
    every_combination,
    label,
    neighbours,
    options,
    pairs,
)
from conftest import Bake
from inspecting import foreign_words, leftovers, missing, parse, references

from answers import LONGEST
from hooks.post_gen_project import ALSO, PIECES


@pytest.fixture(scope="module", params=every_combination(), ids=label)
def project(request: pytest.FixtureRequest, bake: Bake) -> BakedProject:
    return bake(**request.param)


def expected_files(project: BakedProject) -> set[str]:
    """Return the files of the skeleton under their rendered names, less what PIECES drops."""
    names = {"package": project.package}
    dropped = tuple(
        piece.format_map(names)
        for piece, (option, values) in (*PIECES.items(), *ALSO.items())
        if project.answers[option] not in values
    )
    files = {file.replace("{{cookiecutter.__package}}", project.package) for file in skeleton_files()}
    return {
        file for file in files if not any(file == piece or file.startswith(f"{piece}/") for piece in dropped)
    }


def test_it_has_exactly_the_files_that_its_answers_keep(project: BakedProject) -> None:
    assert project.files == expected_files(project)


def test_no_folder_is_empty(project: BakedProject) -> None:
    assert [folder for folder, folders, files in os.walk(project.path) if not folders and not files] == []


def test_no_template_tag_is_left(project: BakedProject) -> None:
    assert {file: tags for file, text in project.texts.items() if (tags := leftovers(text))} == {}


def test_every_file_parses(project: BakedProject) -> None:
    for file, text in project.texts.items():
        parse(file, text)


def test_no_file_speaks_of_a_file_that_is_not_there(project: BakedProject) -> None:
    spoken_of = {file: references(file, text) for file, text in project.texts.items()}
    assert {file: lost for file, paths in spoken_of.items() if (lost := missing(paths, project.files))} == {}


def test_nothing_is_left_of_answers_that_were_not_given(project: BakedProject) -> None:
    answers = frozenset(project.answers.items())
    assert {
        file: words for file, text in project.texts.items() if (words := foreign_words(file, text, answers))
    } == {}


@pytest.mark.parametrize("version", options()["python_version"])
def test_ruff_has_nothing_to_say_of_any_file(version: str, bake: Bake, tmp_path: Path) -> None:
    """Lay the distinct contents of each file over as many projects as it has contents, and check all."""
    contents: dict[str, list[str]] = {}
    for combination in every_combination():
        project = bake(**combination)
        for file, digest in project.digests.items():
            if file.endswith(".py") and digest not in contents.setdefault(file, []):
                contents[file].append(digest)
                tree = tmp_path / str(len(contents[file]))
                if not tree.exists():
                    shutil.copytree(bake(python_version=version).path, tree)
                (tree / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(project.path / file, tree / file)
    assert_ruff_is_silent(tmp_path)


@pytest.mark.parametrize("combination", covering_array(every_combination()), ids=label)
@pytest.mark.parametrize("slug", ["a", "p" * LONGEST["project_slug"]])
def test_ruff_has_nothing_to_say_whatever_the_length_of_the_name(
    slug: str, combination: Combination, bake: Bake
) -> None:
    assert_ruff_is_silent(bake(**combination, project_slug=slug).path)


def assert_ruff_is_silent(folder: Path) -> None:
    for command in (["ruff", "check", "--no-cache"], ["ruff", "format", "--check", "--no-cache"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_covering_array_holds_every_pair_of_answers() -> None:
    everything = every_combination()
    array = covering_array(everything)
    assert set().union(*map(pairs, array)) == set().union(*map(pairs, everything))
    assert len(array) < len(everything)
    assert default_combination() in everything


def test_a_rule_takes_combinations_out_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combinations, "RULES", [lambda combination: combination["serving"] != "flask"])
    assert {combination["serving"] for combination in every_combination()} == {"fastapi", "none"}
    assert {other["serving"] for _, other in neighbours(default_combination())} == {"fastapi", "none"}
