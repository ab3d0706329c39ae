"""The guide to things of one's own, followed word by word; the project still passes its own checks."""

from __future__ import annotations

import pytest
from baking import BakedProject, Oven
from combinations import Combination, label
from composing import composer
from conftest import Shared
from following import Step, edited, read_recipes
from running import served

GUIDE = "docs/guides/extending.md"
ADDRESS = "http://127.0.0.1:8000"
"""Where the guide serves; a test serves on a port that is free."""

KEY = "secret"
"""The key that the guide uses."""

PROJECTS = [
    {"task": "classification", "serving": "fastapi", "data_versioning": "none", "python_version": "3.11"},
    {"task": "regression", "serving": "flask", "data_versioning": "dvc", "python_version": "3.12"},
]

SHOWN = {
    "A feature": ["15 features", "16 features"],
    "An estimator": ["Training lightgbm", "ONNX agrees with scikit-learn"],
    "A metric": ["Test worst_recall: ", "Test lopsided: "],
    "A stage": ["split,rows\ntrain,"],
    "A model from elsewhere": ["models/latest is now v1"],
    "A field in the answer": ['"margin":', '"rounded":'],
    "A route": ['"bill_length_mm"'],
}
"""What the commands of a recipe print, any of these."""

MOST_FILES = 2


def test_each_recipe_fits_the_files_of_every_project_and_changes_two_at_most() -> None:
    tried = set()
    for project in composer().projects():
        texts = dict(project.texts)
        recipes = read_recipes(texts[GUIDE])
        named = {step.path: texts.get(step.path, "") for steps in recipes.values() for step in steps}
        key = frozenset({GUIDE: texts[GUIDE], **named}.items())
        if key not in tried:
            tried.add(key)
            for title, steps in recipes.items():
                changed = [step for step in steps if step.kind == "edit"]
                assert len({step.path for step in steps if step.path}) <= MOST_FILES, title
                for step in changed:
                    named[step.path] = edited(named[step.path], step.text)
    assert len(tried) > 1


def test_an_edit_that_fits_nowhere_or_at_two_places_is_refused() -> None:
    assert edited("a\nb\n", " a\n+x\n-b\n") == "a\nx\n"
    for text in ("b\n", "a\na\n"):
        with pytest.raises(ValueError, match="places have the lines"):
            edited(text, " a\n+x\n")


@pytest.mark.slow
@pytest.mark.parametrize("answers", PROJECTS, ids=label)
def test_every_recipe_does_what_it_says_and_the_project_still_passes_its_own_checks(
    answers: Combination, oven: Oven, shared: Shared
) -> None:
    project = oven.bake(answers)
    variables = shared(project)
    project.run("make", "setup", "data", **variables)
    recipes = read_recipes(project.texts[GUIDE])
    assert recipes.keys() == SHOWN.keys()
    printed = {title: follow(project, steps, variables) for title, steps in recipes.items()}
    with served(project.path, KEY, variables) as address:
        for title, steps in recipes.items():
            printed[title] += follow(project, steps, variables, address)
    for title, words in SHOWN.items():
        assert any(word in printed[title] for word in words), f"{title}:\n{printed[title]}"
    project.run("make", "lint", **variables)
    project.run("make", "test", PYTEST_XDIST_AUTO_NUM_WORKERS="0", **variables)


def follow(project: BakedProject, steps: list[Step], variables: dict[str, str], address: str = "") -> str:
    """Do the steps that need no server, or, with its address, those that ask it; return what they printed."""
    printed = ""
    for step in steps:
        file = project.path / step.path
        if (ADDRESS in step.text) != bool(address):
            continue
        if step.kind == "edit":
            file.write_text(edited(file.read_text(encoding="utf-8"), step.text), encoding="utf-8")
        elif step.kind == "create":
            file.write_text(step.text, encoding="utf-8")
        else:
            printed += project.run(
                "bash", "-euo", "pipefail", "-c", step.text.replace(ADDRESS, address), **variables
            )
    return printed
