"""`adopt`: any table that can be used becomes the project's own, and others are refused with a reason."""

import csv
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from {{ cookiecutter.__package }}.cli import app
from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.adoption import survey
from {{ cookiecutter.__package }}.data.adoption.adopting import Adoption, adopt_table, print_adoption
from {{ cookiecutter.__package }}.data.adoption.configuration import write_schema
from {{ cookiecutter.__package }}.data.adoption.dialect import parse_options, read_dialect
from {{ cookiecutter.__package }}.data.adoption.inference import Wishes
from {{ cookiecutter.__package }}.data.loading import BLANKS, scan_table
from {{ cookiecutter.__package }}.data.preparation import prepare_data, read_summary
from {{ cookiecutter.__package }}.data.splitting import SPLITS, read_split
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.prediction import predict_file
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.schema import Column, Schema

from .toys import change_config, read_files, run_pipeline

ROWS = 120
FEATURES = ("length", "colour", "weight", "quality", "flag", "rare")

LETTERS = st.characters(codec="utf-8", exclude_characters="\0\r")

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
    """Adopt rows, or a file, with what is said of its columns and of how it is written."""
    path = rows if isinstance(rows, Path) else write_table(project.root, rows)
    of_columns = {name: said.pop(name) for name in list(said) if name in Wishes.__dataclass_fields__}
    return adopt_table(project, path, Wishes(target, **of_columns), parse_options(**said))


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
    """With a class of three members, which is kept and named."""
    rows = make_rows()
    for row in rows[1:4]:
        row[3] = "odd"
    path = write_table(trained_toy.root, rows)
    adoption = adopt_table(trained_toy, path, Wishes("kind"), parse_options(), Registry(trained_toy.models).latest())
    assert "rare: odd (3)" in use_of(adoption, "kind")
    project = change_config(Project(trained_toy.root), "model", search={"trials": 1})
    for stage in (prepare_data, train_model, evaluate_model):
        stage(project)
    run = partial(CliRunner().invoke, app, ["promote"], env={"PROJECT_ROOT": str(project.root)})
    assert "models/latest is now v2" in run().output
    assert "is not better than that of latest" in str(run().exception)
    assert predict_file(project, path, project.root / "scored.csv").scored == ROWS


def test_a_table_whose_features_hardly_differ_is_split_by_row(toy: Project) -> None:
    rows = [["size", "kind"], *(["SML"[place % 3], "fast" if place % 7 < 3 else "slow"] for place in range(400))]
    assert any(note.startswith("Only 3 rows differ in their features") for note in adopt(toy, rows).notes)
    assert min(prepare_data(Project(toy.root)).rows.values()) > 40


def test_the_table_is_copied_and_the_former_files_and_settings_are_kept(toy: Project) -> None:
    raw, config = read_files(toy.raw), read_files(toy.root / "config")
    path = write_table(toy.root, make_rows())
    adopt(toy, path)
    project = Project(toy.root)
    assert read_files(project.raw) == raw | {"mine.csv": path.read_bytes()}
    (former,) = (toy.root / "config" / "previous").iterdir()
    assert read_files(former) == {name: config[name] for name in ("model.yaml", "pipeline.yaml", "schema.yaml")}
    assert sum(prepare_data(project).rows.values()) == ROWS


def test_a_second_table_of_the_same_name_does_not_replace_the_first_and_one_in_place_is_not_copied(
    toy: Project,
) -> None:
    adopt(toy, make_rows())
    before = read_files(toy.raw)
    second = adopt(Project(toy.root), make_rows(seed=1)).table
    assert Project(toy.root).pipeline.source.files == second.name == "mine-2.csv"
    assert adopt(Project(toy.root), second).table == second
    assert read_files(toy.raw) == before | {"mine-2.csv": second.read_bytes()}


class Killed(BaseException):
    """What stops `adopt` between two files."""


@pytest.mark.parametrize("moment", [0, 3, 4, 5, 6, 7])
def test_a_project_whose_adoption_was_killed_loads_and_adopts_again(
    toy: Project, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    path = write_table(toy.root, make_rows())
    replace, moves = Path.replace, count()

    def stop_at_the_moment(source: Path, target: Path) -> Path:
        if next(moves) == moment:
            raise Killed
        return replace(source, target)

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(Path, "replace", stop_at_the_moment)
        adopt(toy, path)
    killed = Project(toy.root)
    if killed.schema != toy.schema:
        assert sum(prepare_data(killed).rows.values()) == ROWS
    assert (killed.pipeline, killed.model) is not None
    assert adopt(killed, path).table == toy.raw / "mine.csv"
    assert sum(prepare_data(Project(toy.root)).rows.values()) == ROWS


@pytest.mark.parametrize(
    ("separator", "encoding"), [(",", "utf-8"), (";", "cp1252"), (";", "utf-8-sig"), ("\t", "utf-16"), ("|", "utf-8")]
)
def test_separator_and_encoding_are_told_from_the_file(toy: Project, separator: str, encoding: str) -> None:
    rows = make_rows({"Größe": ["weiß", "groß, mittel", 'sehr "groß"\nund mehr', "a;b|c"]})
    adopt(toy, write_table(toy.root, rows, separator, encoding))
    project = Project(toy.root)
    assert project.pipeline.source.separator == separator
    assert set(project.schema.columns["Größe"].categories) == {row[-1] for row in rows[1:]}
    assert prepare_data(project).rejected == 0


def test_decimal_commas_are_told_and_groups_of_digits_are_declared(toy: Project) -> None:
    rows = make_rows()
    german = [rows[0], *([row[0], row[1], f"1.{place:03},{row[2][-2:]}", row[3]] for place, row in enumerate(rows[1:]))]
    adopt(toy, write_table(toy.root, german, ";"), "weight", thousands=".")
    source = Project(toy.root).pipeline.source
    assert (source.decimal_comma, source.thousands) == (True, ".")
    assert prepare_data(Project(toy.root)).rejected == 0
    assert read_split(Project(toy.root).splits, "train")["weight"].min() >= 1000  # type: ignore[operator]


def test_marks_in_numbers_that_were_not_declared_are_named(toy: Project) -> None:
    rows = make_rows({"price": [f"1,{number:03}" for number in range(100)]})
    assert "say --thousands or --decimal-comma" in use_of(adopt(toy, rows), "price")


@pytest.mark.parametrize(("form", "different"), [("${},250.00", 6), ("{}%", ROWS), ("€ {}", ROWS), ("{} £", 6)])
def test_numbers_with_a_sign_are_ignored_with_what_to_do(toy: Project, form: str, different: int) -> None:
    rows = make_rows({"price": [form.format(value) for value in range(100, 100 + different)]})
    assert "remove the sign to use them" in use_of(adopt(toy, rows), "price")
    refuse(toy, rows, r"price has numbers with a sign, such as .*: remove the sign to predict them", "price")


def test_spaces_around_values_and_names_are_cut_off(toy: Project) -> None:
    rows = [[" " + cell for cell in row] for row in make_rows({"job": ["?", "cook", "smith"]})]
    adopt(toy, rows)
    job = Column(type="category", nullable=True, unseen="take", categories=("cook", "smith"))
    assert Project(toy.root).schema.columns["job"] == job
    assert prepare_data(Project(toy.root)).rejected == 0


@given(
    names=st.lists(st.text(LETTERS.filter(str.strip), min_size=1, max_size=8), min_size=2, max_size=5),
    cells=st.lists(st.text(LETTERS, max_size=8), min_size=1, max_size=4),
    separator=st.sampled_from(",;\t|"),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_is_read_back(tmp_path: Path, names: list[str], cells: list[str], separator: str) -> None:
    path = tmp_path / "any.csv"
    record = [cells[place % len(cells)] for place in range(len(names))]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([names, record, record])
    try:
        source = read_dialect(path, parse_options(separator=separator))[0]
    except ProjectError:
        return
    wanted = (cell.strip(BLANKS) if source.trim else cell for cell in record)
    read = tuple(None if cell in source.null_values else cell for cell in wanted)
    assert scan_table(path, source).drop("_row").collect().rows() == [read, read]


@given(
    names=st.lists(st.text(min_size=2, max_size=12), min_size=1, max_size=5, unique=True),
    categories=st.lists(st.text(max_size=12), min_size=1, max_size=5, unique=True),
    low=st.floats(allow_nan=False, allow_infinity=False),
)
@settings(max_examples=40)
def test_the_schema_is_read_back_as_it_was_meant(names: list[str], categories: list[str], low: float) -> None:
    columns = {name: Column(type="category", categories=tuple(categories)) for name in names}
    schema = Schema(task="regression", target="y", columns=columns | {"y": Column(type="number", minimum=low)})
    assert Schema.model_validate(yaml.safe_load(write_schema(schema, {}, "x.csv"))) == schema


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
    "member": (range(1000, 1040), "group: 40 values that repeat"),
    "grade": (["1", "unknown", "3", "5"], number(1, 5, nullable=True)),
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
    assert "These words count as missing: 'unknown'." in adoption.notes


def test_what_the_user_wishes_a_column_to_be_it_is(toy: Project) -> None:
    rows = make_rows({"town": ["Ulm", "Bonn"], "day": ["1.2.24", "3.2.24"], "plant": [3, 4], "who": range(40)})
    wishes = {"--text": ["town"], "--category": ["plant"], "--group": ["who"], "--timestamp": ["day"]}
    columns = adopt(toy, rows, columns=wishes, date_format="%d.%m.%y").schema.columns
    assert columns["town"] == Column(type="text")
    assert columns["plant"] == category("3", "4")
    assert columns["who"] == Column(type="text", role="group")
    assert columns["day"] == Column(type="timestamp", format="%d.%m.%y")


def make_orders(name: str, values: Sequence[object]) -> Rows:
    """2,000 rows of a column in which values repeat, and of another."""
    generator = random.Random(1)
    rows: Rows = [[name, "size", "kind"]]
    for _ in range(2000):
        size = generator.random()
        kind = "long" if size + generator.random() > 1 else "short"
        rows.append([str(generator.choice(values)), f"{size:.3f}", kind])
    return rows


@pytest.mark.parametrize(
    ("name", "values", "use"),
    [
        ("customer_id", range(100_000, 100_700), "group"),
        ("CustomerId", [f"{number:05}" for number in range(700)], "group"),
        ("Patient", [f"P{number}" for number in range(300)], "group"),
        ("key", [f"k{number}" for number in range(300)], "group"),
        ("reference", [f"A-{number}" for number in range(700)], "group"),
        ("airport", [f"{chr(65 + number % 26)}{number:02}" for number in range(400)], "open category"),
        ("zip_code", range(10_000, 10_700), "open category"),
        ("product_id", [f"P{number}" for number in range(700)], "open category"),
        ("tail", [f"N{number}" for number in range(100)], "open category"),
        ("store_id", range(200, 230), "category"),
        ("amount", range(700), "number"),
        ("cost per customer", range(700), "number"),
    ],
)
def test_who_a_row_is_about_is_a_group_and_what_kind_of_thing_is_a_category(
    toy: Project, name: str, values: Sequence[object], use: str
) -> None:
    adoption = adopt(toy, make_orders(name, values))
    column = adoption.schema.columns[name]
    found = "group" if column.role == "group" else "number" if column.is_numeric else column.type
    assert ("open " if column.is_string and found == "category" else "") + found == use
    told = [note for note in adoption.notes if f"rows of one {name} stay in one split" in note]
    assert len(told) == (use == "group")


def test_of_two_groups_the_coarser_is_taken_and_the_other_named(toy: Project) -> None:
    rows = make_orders("customer_id", range(100_000, 100_700))
    rows = [[*row, "household" if row[0] == "customer_id" else f"h{int(row[0]) % 233}"] for row in rows]
    adoption = adopt(toy, rows)
    assert adoption.schema.groups == ["household"]
    assert use_of(adoption, "customer_id") == (
        "ignored: names who a row is about, as 'household' does: --group or --category"
    )


def test_rare_categories_count_as_other(toy: Project) -> None:
    rows = make_orders("colour", ["red", "blue"] * 500 + ["mauve"])
    adoption = adopt(toy, rows)
    assert adoption.schema.columns["colour"].categories == ("blue", "red")
    assert use_of(adoption, "colour") == "feature: rare values that count as other: 1"


def test_the_time_between_two_dates_becomes_a_feature(toy: Project) -> None:
    first = [datetime(2024, 1, 1) + timedelta(days=7 * place % 90) for place in range(ROWS)]
    later = [moment + timedelta(days=place % 11) for place, moment in enumerate(first)]
    adopt(toy, make_rows({"arrival": [f"{moment:%Y-%m-%d}" for moment in later], "booked": first}))
    (feature,) = Project(toy.root).model.features.derived
    assert feature.name == "days_from_booked_to_arrival"
    assert (feature.operation, feature.columns) == ("difference", ("arrival", "booked"))


def test_a_regression_on_columns_of_any_names_goes_all_the_way(toy: Project) -> None:
    names = ["_row", "_identity", "prediction", "error", "rules", "file", "place", "class", "^a$", "*", "Größe in m²"]
    names += ["_typed length", "typed length", "probability long", "length is missing", "a,b", "$x$ and $\\y$", "漢字"]
    rows = make_rows(dict.fromkeys(names, (1.5, 2.5, 3.5)))
    path = write_table(toy.root, [*rows, rows[5], rows[5]])
    assert adopt(toy, path, "weight").schema.task == "regression"
    project = change_config(Project(toy.root), "model", search={"trials": 1})
    assert run_pipeline(project) == "models/latest is now v1"
    assert len(project.schema.features) == 3 + len(names)
    assert read_summary(project).by_rule == {"row: duplicate": 2}
    summary = predict_file(project, path, project.root / "scored.csv")
    assert (summary.scored, summary.refused) == (ROWS + 2, 0)


def test_a_column_that_comes_twice_gets_a_second_name_unless_there_is_one_of_that_too(toy: Project) -> None:
    rows, taken = make_rows({"second": [4, 5, 6]}), make_rows({"second": [4, 5], "length_duplicated_0": [3]})
    rows[0][4] = taken[0][4] = "length"
    refuse(toy, taken, r"'length_duplicated_0' also exists in the file")
    adoption = adopt(toy, rows)
    assert "length_duplicated_0" in adoption.schema.features


def test_integer_labels_are_classes_in_their_order(toy: Project) -> None:
    adoption = adopt(toy, make_rows({"label": [0, 1, 2, 10]}), "label", task="classification")
    assert adoption.schema.labels == ("0", "1", "2", "10")


def test_missing_targets_do_not_stop_the_first_run(toy: Project) -> None:
    rows = make_rows()
    for row in rows[1:41]:
        row[3] = ""
    adoption = adopt(toy, rows)
    assert any("maximum_rejected_share is 0.39" in note for note in adoption.notes)
    assert prepare_data(Project(toy.root)).by_rule == {"kind: missing": 40}


def test_empty_lines_make_no_column_optional_and_are_rejected(toy: Project) -> None:
    path = write_table(toy.root, make_rows())
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n" * 9)
    adoption = adopt(toy, path)
    assert adoption.rows == ROWS
    assert not any(column.nullable for column in adoption.schema.columns.values())
    assert any("of the rows will be rejected" in note for note in adoption.notes)
    assert prepare_data(Project(toy.root)).rejected == 9


def test_rows_that_repeat_others_are_kept_where_they_are_many(toy: Project) -> None:
    adopt(toy, [[row[1], row[3]] for row in make_rows()])
    assert Project(toy.root).pipeline.validation.duplicates == "keep"
    assert sum(prepare_data(Project(toy.root)).rows.values()) == ROWS


@pytest.mark.parametrize(
    ("target", "leak", "how"),
    [
        ("kind", "code", "almost perfectly"),
        ("kind", "refund", "almost perfectly"),
        ("kind", "reason", "almost perfectly"),
        ("weight", "factor", "almost perfectly"),
        ("kind", "state", "suspiciously well"),
    ],
)
def test_a_column_that_gives_the_target_away_is_named(toy: Project, target: str, leak: str, how: str) -> None:
    """A code of the class, a value and a text that are missing for one class, and seven times the number."""
    rows = make_rows(rows=400)[1:]
    told = {
        "code": [row[3][0] for row in rows],
        "refund": ["2" if row[3] == "long" else "" for row in rows],
        "reason": [f"because of number {place}" if row[3] == "long" else "" for place, row in enumerate(rows)],
        "factor": [f"{float(row[2]) * 7:.4f}" for row in rows],
        "state": [row[3] if place % 6 else "odd" for place, row in enumerate(rows, start=1)],
    }
    notes = adopt(toy, make_rows({leak: told[leak]}, rows=400), target).notes
    (warning,) = (note for note in notes if note.startswith(f"Warning: '{leak}'"))
    assert f"alone tells {target} {how}" in warning
    assert f'--drop "{leak}"' in warning


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"target": "Kinds"}, r"--target Kinds: .* Did you mean 'kind'"),
        ({"target": "same"}, r"Every row has the same same, 'x'"),
        ({"task": "regression"}, r"A regression needs numbers, but 120 of 120 values of kind are none"),
        ({"target": "weight", "task": "classification"}, r"weight has \d+ different values.*use --task regression"),
        ({"target": "name"}, r"name has 100 different values, more than 50 classes; group them"),
        ({"target": "quality"}, r"5 different whole numbers, from 3 to 8: say --task classification if"),
        ({"target": "rare"}, r"Only 40 of 120 rows have a rare; at least 50"),
        ({"columns": {"--id": ["colour"], "--drop": ["colour"]}}, r"'colour' cannot be --id and --drop"),
        ({"columns": {"--drop": ["kind"]}}, r"'kind' cannot be --target and --drop"),
        ({"columns": {"--drop": [*FEATURES, "name"]}}, r"No column is left to predict from:\n  same: constant"),
        ({"time": "colour"}, r"'(red|blue)' are no numbers or times of a known format"),
        ({"columns": {"--timestamp": ["colour"]}}, r"--timestamp colour: .* are no times of a known format"),
        ({"columns": {"--group": ["colour"], "--text": ["colour"]}}, r"'colour' cannot be --group and --text"),
        ({"columns": {"--category": ["color"]}}, r"--category color: .* Did you mean 'colour'"),
        ({"time": "flag"}, r"2 different times cannot be cut"),
        ({"decimal_comma": True, "thousands": ","}, r"These options fit no file:\n.*thousands"),
        ({"separator": "<>"}, r"These options fit no file:\n.*separator"),
        ({"encoding": "klingon"}, r"These options fit no file:\n.*encoding"),
    ],
)
def test_what_cannot_be_meant_is_refused(toy: Project, wishes: dict[str, Any], message: str) -> None:
    more = {"same": "x", "name": [f"n{number}" for number in range(100)], "quality": "34568", "flag": "12"}
    refuse(toy, make_rows(more | {"rare": ["a", "", ""]}), message, **wishes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty"),
        (b"\n\n", r"is empty"),
        (b"a,kind\n", r"has a header line and no rows"),
        (b"kind\na\nb\n", r"single column when split at comma, semicolon, tab, pipe; give its separator"),
        (b"a,kind\n" + b"1,x\n" * 60 + b"1,x,7\n", r"the header has 2 fields, but line 62 has 3"),
        (b"a,kind\n" + b"1,x\n" * 60 + b"1\n", r"the header has 2 fields, but line 62 has 1"),
        (b"1,a,0.5\n" + b"2,b,1.5\n" * 60, r"The first line of the file has '1', 'a', '0.5'"),
        (b"sep=;\na;kind\n1;x\n", r"sep="),
        (b"PK\x03\x04....", r"Excel workbook"),
        (b"\x1f\x8b....", r"gzip"),
        (b"a,kind\n\x00\x00,x\n", r"NUL"),
    ],
)
def test_a_file_that_is_no_table_is_refused(toy: Project, content: bytes, message: str) -> None:
    path = toy.root / "broken.csv"
    path.write_bytes(content)
    refuse(toy, path, message)


def test_a_folder_is_refused_with_a_file_in_it(toy: Project) -> None:
    refuse(toy, toy.raw, r"raw is a folder; give the path of a .csv, .tsv, .parquet file, such as .*rows\.csv")


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y%m%d"])
def test_a_split_by_time_holds_out_the_latest_rows(toy: Project, form: str) -> None:
    days = [(datetime(2023, 1, 1) + timedelta(days=number)).strftime(form) for number in range(ROWS)]
    adopt(toy, make_rows({"sold_on": days}), time="sold_on")
    project = Project(toy.root)
    assert project.pipeline.split == toy.pipeline.split.model_copy(update={"time_column": "sold_on"})
    assert prepare_data(project).rows == {"train": 60, "validation": 24, "test": 36}
    assert read_split(project.splits, "test")["sold_on"].min() == datetime(2023, 1, 1) + timedelta(days=84)


def test_dates_that_can_be_read_in_two_ways_are_asked_about(toy: Project) -> None:
    rows = make_rows({"day": [f"{day:02}/{month:02}/2024" for day in range(1, 13) for month in range(1, 13)]})
    refuse(toy, rows, r"can be read as %d/%m/%Y or %m/%d/%Y; say which with --date-format", time="day")
    adopt(toy, rows, time="day", date_format="%m/%d/%Y")
    assert Project(toy.root).schema.columns["day"].format == "%m/%d/%Y"


def test_parquet_columns_of_any_type_are_read_or_set_aside(toy: Project) -> None:
    header, *rows = make_rows()
    moments = [datetime(2024, 1, 1) + timedelta(hours=7 * place) for place in range(ROWS)]
    frame = pl.DataFrame(rows, schema=header, orient="row").with_columns(
        pl.col("length").cast(pl.Decimal(9, 3)),
        pl.col("kind") == "long",
        pl.Series("tags", [[1]] * ROWS),
        pl.col("colour").cast(pl.Categorical),
        pl.int_range(ROWS).mod(7).cast(pl.Int16).replace(0, None).alias("gaps"),
        pl.Series("when", moments).dt.replace_time_zone("Europe/Berlin"),
        pl.Series("day", moments).dt.date(),
        pl.Series("clock", moments).dt.time(),
        pl.Series("lasted", [timedelta(milliseconds=1500 * (place % 31)) for place in range(ROWS)]),
        pl.lit(None, dtype=pl.Float32).alias("nothing"),
        pl.lit(b"x").alias("bytes"),
        weight=pl.when(pl.int_range(ROWS) % 9 == 0).then(float("nan")).otherwise(pl.col("weight").cast(pl.Float64)),
    )
    path = toy.root / "mine.parquet"
    frame.write_parquet(path)
    adoption = adopt(toy, path)
    types = {name: column.type for name, column in adoption.schema.features.items()}
    numbers = dict.fromkeys(("length", "weight", "lasted"), "number") | {"gaps": "integer"}
    assert types == {"colour": "category", "clock": "category", "day": "timestamp", "when": "timestamp"} | numbers
    assert adoption.schema.labels == ("false", "true")
    assert [name for name, column in adoption.schema.columns.items() if column.nullable] == ["weight", "gaps"]
    assert prepare_data(Project(toy.root)).rejected == 0
    assert pl.concat([read_split(toy.splits, name) for name in SPLITS])["lasted"].max() == 45


def test_what_was_decided_is_printed(toy: Project, capsys: pytest.CaptureFixture[str]) -> None:
    print_adoption(adopt(toy, make_rows({"[id]": range(ROWS)})))
    printed = capsys.readouterr().out
    decided = ("length", "number", "blue, red", "2 classes", "classification of 'kind', 120 rows of mine.csv")
    assert [words for words in (*decided, "make pipeline") if words not in printed] == []
