"""`adopt`: any table that can be used becomes the project's own, and others are refused with a reason."""

import csv
import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from {{ cookiecutter.__package }}.cli import app
from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.adoption import survey
from {{ cookiecutter.__package }}.data.adoption.adopting import Adoption, adopt_table
from {{ cookiecutter.__package }}.data.adoption.inference import Wishes
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling import pipeline
from {{ cookiecutter.__package }}.modeling.prediction import predict_file
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.schema import Column

from .toys import change_config, make_candidate, measure, read_files

ROWS = 120
SMALL = {"random_forest": {"n_estimators": 5}, "hist_gradient_boosting": {"max_iter": 5}}
FEATURES = ("length", "colour", "weight", "quality", "flag", "rare")


Rows = list[list[str]]


def make_rows(more: Mapping[str, Sequence[object]] = {}, rows: int = ROWS, seed: int = 0) -> Rows:
    """A header and rows of length, colour, weight and kind; the length tells most of the rest.

    More columns have their values repeated as needed.
    """
    generator = random.Random(seed)
    table = [["length", "colour", "weight", "kind", *more]]
    for place in range(rows):
        length = round(generator.uniform(1, 9), 3)
        kind = "long" if length + generator.gauss(0, 1) > 5 else "short"
        weight = f"{length * 2 + generator.gauss(0, 1):.3f}"
        others = (str(values[place % len(values)]) for values in more.values())
        table.append([str(length), generator.choice(["red", "blue"]), weight, kind, *others])
    return table


def write_table(folder: Path, rows: Rows, separator: str = ",", encoding: str = "utf-8") -> Path:
    """Write rows as a file, quoted where needed."""
    path = folder / "incoming" / "mine.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator="\n").writerows(rows)
    return path


def adopt(project: Project, rows: Rows | Path, target: str = "kind", **said: Any) -> Adoption:
    """Adopt rows, or a file, with what is said of it."""
    path = rows if isinstance(rows, Path) else write_table(project.root, rows)
    return adopt_table(project, path, Wishes(target, **said))


def refuse(project: Project, rows: Rows | Path, message: str, target: str = "kind", **said: Any) -> None:
    """Check that a table is refused and that nothing was written."""
    path = rows if isinstance(rows, Path) else write_table(project.root, rows)
    before = read_files(project.root)
    with pytest.raises(ProjectError, match=message):
        adopt(project, path, target, **said)
    assert read_files(project.root) == before


def use_of(adoption: Adoption, column: str) -> str:
    """What becomes of a column, and why."""
    found = next(decision for decision in adoption.decisions if decision.name == column)
    return f"{found.use}: {found.why}"


def test_an_adopted_table_goes_all_the_way_and_is_promoted_uncompared_once(trained_toy: Project) -> None:
    """With a class of three members, which is kept."""
    rows = make_rows()
    for row in rows[1:4]:
        row[3] = "odd"
    path = write_table(trained_toy.root, rows)
    adoption = adopt_table(trained_toy, path, Wishes("kind"), Registry(trained_toy.models).latest())
    assert use_of(adoption, "kind") == "target: 3 classes"
    project = change_config(Project(trained_toy.root), "model", hyperparameters=SMALL)
    for stage in (prepare_data, train_model, measure):
        stage(project)
    run = partial(CliRunner().invoke, app, ["promote"], env={"PROJECT_ROOT": str(project.root)})
    assert "models/latest is now v2" in run().output
    make_candidate(project, seed=21)
    assert "better than that of latest (v2)" in str(run().exception)
    assert predict_file(project, path, project.root / "scored.csv").scored == ROWS


def test_the_table_is_copied_and_the_former_files_and_settings_are_kept(toy: Project) -> None:
    raw, config = read_files(toy.raw), read_files(toy.root / "config")
    path = write_table(toy.root, make_rows())
    adopt(toy, path)
    project = Project(toy.root)
    assert read_files(project.raw) == raw | {"mine.csv": path.read_bytes()}
    (former,) = (toy.root / "config" / "previous").iterdir()
    assert read_files(former) == {name: config[name] for name in ("model.yaml", "pipeline.yaml", "schema.yaml")}
    assert sum(prepare_data(project).rows.values()) == ROWS


def number(minimum: float, maximum: float, **said: Any) -> Column:
    """A column of numbers that takes others than it has seen."""
    return Column(type=said.pop("type", "integer"), unseen="take", minimum=minimum, maximum=maximum, **said)


def category(*categories: str, **said: Any) -> Column:
    """A column of the categories, which takes others."""
    return Column(type="category", unseen="take", categories=categories, **said)


OPEN = Column(type="category")
COLUMNS: dict[str, tuple[Sequence[object], Column | str]] = {
    "id": (range(ROWS), "ignored: an identifier: each row has its own"),
    "code": ([f"B-{place}" for place in range(ROWS)], "ignored: an identifier: each row has its own"),
    "paid": (["yes", "no", ""], Column(type="boolean", nullable=True)),
    "rings": (["181.0", "7", "", "200"], number(7, 200, nullable=True)),
    "empty": (["", "NA"], "dropped: empty: no row has a value"),
    "country": (["DE"], "dropped: constant: every row has 'DE'"),
    "sold": ([f"2024-01-{day:02}" for day in range(1, 29)], Column(type="timestamp", format="%Y-%m-%d")),
    "day": ([f"202401{day:02}" for day in range(1, 29)], Column(type="timestamp", format="%Y%m%d")),
    "may": ([f"{day:02}/03/2024" for day in range(1, 13)], "ignored: a date that can be read as %d/%m/%Y or %m/%d/%Y"),
    "note": ([f"{n} ways to go" for n in range(70)], Column(type="text")),
    "town": ([f"town {n}" for n in range(40)], OPEN),
    "zip": ([f"0{number}" for number in range(52)], OPEN),
    "product_id": (range(500, 540), OPEN),
    "airport": ([f"A{n}" for n in range(40)], OPEN),
    "member": (range(1000, 1040), "group: rows of one value share a split, 3.0 rows each"),
    "grade": (["1", "N/A", "3", "5"], number(1, 5, nullable=True)),
    "flag": ([0, 1], number(0, 1)),
    "degrees": ([-5, 0, 3, 25], number(-5, 25)),
    "colours": (["red", "blue"], category("blue", "red")),
}


def test_columns_are_told_apart(toy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_COUNTED_CELLS", 5 * ROWS)
    adoption = adopt(toy, make_rows({name: values for name, (values, _) in COLUMNS.items()}))
    for name, (_, wanted) in COLUMNS.items():
        if isinstance(wanted, Column):
            assert adoption.schema.columns[name] == wanted
        else:
            assert use_of(adoption, name).startswith(wanted)


def test_a_regression_on_columns_of_any_names_goes_all_the_way(toy: Project) -> None:
    names = ["_row", "_identity", "prediction", "error", "rules", "file", "place", "class", "^a$", "*", "Größe in m²"]
    names += ["_typed length", "typed length", "probability long", "length is missing", "a,b", "$x$ and $\\y$", "漢字"]
    rows = make_rows(dict.fromkeys(names, (1.5, 2.5, 3.5)))
    path = write_table(toy.root, rows)
    assert adopt(toy, path, "weight").schema.task == "regression"
    project = change_config(Project(toy.root), "model", hyperparameters=SMALL)
    assert pipeline.run_pipeline(project) == "models/latest is now v1"
    assert len(project.schema.features) == 3 + len(names)
    summary = predict_file(project, path, project.root / "scored.csv")
    assert (summary.scored, summary.refused) == (ROWS, 0)


def test_columns_that_are_said_to_name_what_a_row_is_about_are_identifiers_and_no_features(toy: Project) -> None:
    path = write_table(toy.root, make_rows({"owner": range(40), "dog": ["Rex", "Bo"]}))
    said = ["adopt", str(path), "--target", "kind", "--id", "owner", "--id", "dog"]
    assert CliRunner().invoke(app, said, env={"PROJECT_ROOT": str(toy.root)}).exit_code == 0
    schema = Project(toy.root).schema
    assert (schema.identifiers, list(schema.features)) == (["owner", "dog"], ["length", "colour", "weight"])


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"target": "Kinds"}, r"--target Kinds: there is no such column.*'weight', 'kind'"),
        ({"target": "same"}, r"Every row has the same same, 'x'"),
        ({"task": "regression"}, r"A regression needs numbers, but 120 of 120 values of kind are none"),
        ({"target": "weight", "task": "classification"}, r"weight has \d+ different values.*use --task regression"),
        ({"target": "name"}, r"name has 100 different values, more than 50 classes; group them"),
        ({"target": "quality"}, r"5 different whole numbers, from 3 to 8: say --task classification if"),
        ({"target": "rare"}, r"Only 40 of 120 rows have a rare; at least 50"),
        ({"drop": ["kind"]}, r"--drop kind: it has another part already"),
        ({"identifiers": ["kind"]}, r"--id kind: it has another part already"),
        ({"time": "kind"}, r"--time-split kind: it has another part already"),
        ({"drop": ["color"]}, r"--drop color: there is no such column.*'colour'"),
        ({"drop": [*FEATURES, "name"]}, r"No column is left to predict from:\n  same: constant"),
        ({"time": "colour"}, r"--time-split colour: .* are no numbers or times of one known format"),
        ({"time": "flag"}, r"--time-split flag: .* fewer than three"),
        ({"encoding": "utf-16"}, r"cannot be read as utf-16 .* give another --encoding"),
    ],
)
def test_what_cannot_be_meant_is_refused(toy: Project, wishes: dict[str, Any], message: str) -> None:
    more = {"same": "x", "name": [f"n{number}" for number in range(100)], "quality": "34568", "flag": "12"}
    refuse(toy, make_rows(more | {"rare": ["a", "", ""]}), message, **wishes)
