"""A covering array of projects is installed and does what its README says, on several Pythons.

Every project is called and described by awkward texts, so these too go through every tool. Projects of one
Python share an environment, which ``uv run`` makes that of the next project in less than a second.
"""

from __future__ import annotations

import ast
import json
import tomllib
from functools import cache

import pytest
from baking import BakedProject, Oven
from combinations import Combination, covering_combinations, label, options
from composing import ComposedProject, Composer, Content
from conftest import Bake, Shared
from insiders import fitting_tests
from interpreters import as_version, installed, interpreter_for, version_of
from running import predict, served, unseen_penguin

from answers import DEPENDENCIES

AWKWARD = {
    "project_name": 'Pingüine "№ 1" & Co. <b>',
    "project_slug": "awkward-penguins",
    "description": r"How heavy is a penguin? It's 100% \ *more* than `this`: {that} # [and] ${so} on",
    "author": "Zoë O'Brien & 機械",
}

ARRAY = covering_combinations()
COMPOSER = Composer(AWKWARD["project_slug"])
KEY = "a-key-for-the-tests"


@cache
def whole_suites() -> list[Combination]:
    """Return some of the array in which every choice, and every text of every test file, is found."""
    left = {place: covered(COMPOSER.compose(combination)) for place, combination in enumerate(ARRAY)}
    chosen = []
    while any(left.values()):
        best = max(left, key=lambda place: len(left[place]))
        chosen.append(ARRAY[best])
        left = {place: covers - left[best] for place, covers in left.items()}
    return chosen


def covered(project: ComposedProject) -> set[tuple[str, str]]:
    """Return what is tried out where the whole suite of a project is run."""
    tests = {(file, text) for file, text in project.texts if file.startswith("tests/")}
    inside = fitting_tests(COMPOSER.package, project.files)
    return tests | set(inside.items()) | set(project.answers.items())


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, bake: Bake, shared: Shared) -> BakedProject:
    """Set a project up, hold it against its own linters, and train its model."""
    project = bake(**AWKWARD, **request.param)
    for target in ("setup", "lint", "pipeline"):
        # MLflow would tell of the tables of its new database.
        assert "INFO mlflow" not in project.run("make", target, **shared(project))
    return project


def combinations_where(serves: bool) -> pytest.MarkDecorator:
    """Run a test for each combination of the array that has a server, or has none."""
    some = [combination for combination in ARRAY if (combination["serving"] != "none") is serves]
    return pytest.mark.parametrize("trained", some, indirect=True, ids=label)


@pytest.mark.slow
@pytest.mark.parametrize("combination", whole_suites(), ids=label)
def test_a_project_passes_its_own_tests_and_those_that_stay_here(
    combination: Combination, oven: Oven, shared: Shared
) -> None:
    project = oven.bake({**AWKWARD, **combination})
    for file, text in fitting_tests(project.package, project.files).items():
        (project.path / file).write_text(text, encoding="utf-8")
    # One process: two projects at a time keep two cores busy, and wait for each other less.
    project.run("make", "test", PYTEST_XDIST_AUTO_NUM_WORKERS="0", **shared(project))


def test_every_choice_and_every_test_file_is_in_a_project_whose_tests_are_run() -> None:
    everything = set().union(*map(covered, COMPOSER.projects()))
    assert everything - set().union(*(covered(COMPOSER.compose(each)) for each in whole_suites())) == set()
    assert len(whole_suites()) < len(ARRAY)


@pytest.mark.slow
@combinations_where(serves=True)
def test_a_project_answers_over_http_to_those_with_a_key(trained: BakedProject, shared: Shared) -> None:
    row = unseen_penguin(trained.answers["task"])
    with served(trained.path, KEY, shared(trained)) as address:
        status, answer = predict(address, KEY, row)
        assert status == 200, answer
        assert answer["model_version"] == "v1"
        assert_adelie_of_3750_grams(answer["predictions"])
        assert predict(address, None, row)[0] == 401
        assert predict(address, f"{KEY}x", row)[0] == 401
        assert predict(address, KEY, {**row, "island": "Atlantis"})[0] == 422
    adopt_another_table(trained, shared)
    with served(trained.path, KEY, shared(trained)) as address:
        status, answer = predict(address, KEY, {"Größe": 4.5, "Farbe": "grün"})
        assert status == 200, answer
        assert answer["model_version"] == "v2"


@pytest.mark.slow
@combinations_where(serves=False)
def test_a_project_without_a_server_predicts_in_batches(trained: BakedProject, shared: Shared) -> None:
    trained.run("make", "predict", "OUTPUT=predictions.csv", **shared(trained))
    given = trained.path / "data" / "raw" / "penguins.csv"
    predicted = trained.path / "predictions.csv"
    assert predicted.read_bytes().count(b"\n") == given.read_bytes().count(b"\n")
    adopt_another_table(trained, shared)
    trained.run("make", "predict", "OUTPUT=predictions.csv", **shared(trained))
    assert "prediction" in predicted.read_text(encoding="utf-8").partition("\n")[0]


@pytest.mark.slow
def test_no_project_can_be_called_like_something_that_it_installs(oven: Oven, shared: Shared) -> None:
    oldest = options()["python_version"][0]
    some = [project for project in COMPOSER.projects() if project.answers["python_version"] == oldest]
    asked = {requirements(project): project.answers for project in some}
    for named in sorted(asked, key=len, reverse=True):
        if not any(named < other for other in asked):
            assert_no_name_is_free(oven.bake({**AWKWARD, **asked[named]}), shared)


def requirements(project: ComposedProject) -> frozenset[str]:
    """Return what a project asks for, in any of its environments."""
    return requirements_in(project.contents["pyproject.toml"])


@cache
def requirements_in(content: Content) -> frozenset[str]:
    """Return what a pyproject.toml asks for, in any environment."""
    settings = tomllib.loads(content.data.decode())
    extras = settings["project"]["optional-dependencies"].values()
    groups = settings["dependency-groups"].values()
    named = [name for each in (settings["project"]["dependencies"], *extras, *groups) for name in each]
    # The others are groups that a group includes.
    return frozenset(name for name in named if isinstance(name, str))


def assert_no_name_is_free(project: BakedProject, shared: Shared) -> None:
    """Install all that a project asks for, and look for it in the names that no project may have."""
    project.run("uv", "sync", "--all-extras", "--all-groups", **shared(project))
    script = "from importlib.metadata import packages_distributions as all; print(all())"
    printed = project.run("uv", "run", "--no-sync", "python", "-c", script, **shared(project))
    owners: dict[str, list[str]] = ast.literal_eval(printed)
    names = {*owners, *(distribution for each in owners.values() for distribution in each)}
    normal = {name.lower().replace("-", "_") for name in names}
    public = {name for name in normal if name.isidentifier() and not name.startswith("_")}
    assert public - {project.package} - DEPENDENCIES == set()


def test_the_oldest_and_the_newest_python_that_can_be_asked_for_are_really_used() -> None:
    offered = [as_version(version) for version in options()["python_version"]]
    here = [version for version in installed() if min(offered) <= version <= max(offered)]
    used = {version_of(interpreter_for(combination["python_version"])) for combination in ARRAY}
    assert {min(here), max(here)} <= used


def test_a_python_that_is_not_here_is_replaced_by_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {(3, 11): installed()[max(installed())], (3, 13): installed()[max(installed())]}
    monkeypatch.setattr("interpreters.installed", lambda: found)
    assert interpreter_for("3.12") == found[(3, 13)]
    with pytest.raises(LookupError, match=r"No Python 3\.14"):
        interpreter_for("3.14")


def adopt_another_table(project: BakedProject, shared: Shared) -> None:
    """Make a table of another dialect, task and shape the project's own, and train on it."""
    other = "classification" if project.answers["task"] == "regression" else "regression"
    lines = ["Größe;Farbe;Nr;Art;Preis"]
    for number in range(200):
        size = number * 7919 % 200 / 20
        kind = "lang" if size > 5 else "kurz"
        colour = ("grün", "weiß")[number % 3 % 2]
        lines.append(f"{size:.2f};{colour};{number};{kind};{size * 3 + number % 3:.2f}".replace(".", ","))
    (project.path / "table.csv").write_text("\n".join(lines) + "\n", encoding="cp1252")
    target, told = ("Art", "Preis") if other == "classification" else ("Preis", "Art")
    command = ("adopt", "table.csv", "--target", target, "--drop", told, "--encoding", "cp1252")
    project.run("uv", "run", "--all-extras", project.slug, *command, **shared(project))
    printed = project.run("make", "pipeline", **shared(project))
    assert "models/latest is now v2" in printed, printed


def assert_adelie_of_3750_grams(predictions: list[dict[str, object]]) -> None:
    """Hold the prediction for the first penguin of the table against what it was."""
    assert len(predictions) == 1, json.dumps(predictions)
    prediction = predictions[0]
    if "label" in prediction:
        assert prediction["label"] == "Adelie"
    else:
        assert isinstance(prediction["value"], float)
        assert 3000 < prediction["value"] < 4500
