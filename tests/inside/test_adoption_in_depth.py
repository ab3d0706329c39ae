"""`adopt`: any table that can be used becomes the project's own, and others are refused with a reason."""

import csv
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import polars as pl
import pytest
import yaml
from demo_project.config import Project, SplitSettings
from demo_project.data.adoption.adopting import print_adoption
from demo_project.data.adoption.configuration import write_settings
from demo_project.data.adoption.dialect import read_dialect
from demo_project.data.loading import BLANKS, scan_table
from demo_project.data.preparation import prepare_data
from demo_project.data.splitting import read_split
from demo_project.errors import ProjectError
from demo_project.schema import Column, Schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .test_adoption import ROWS, Rows, adopt, make_rows, refuse, use_of, write_table
from .toys import change_config, read_files

LETTERS = st.characters(codec="utf-8", exclude_characters="\0\r")


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


@pytest.mark.parametrize("moment", [0, 1, 4, 5, 6, 7])
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
    ("separator", "encoding"),
    [(",", "utf8"), (";", "cp1252"), (";", "utf-8-sig"), ("\t", "utf-16"), ("|", "utf8")],
)
def test_the_separator_is_told_and_the_encoding_is_said(toy: Project, separator: str, encoding: str) -> None:
    rows = make_rows({"Größe": ["weiß", "groß, mittel", 'sehr "groß"\nund mehr', "a;b|c"]})
    said = {} if encoding.startswith("utf-8") else {"encoding": encoding}
    adopt(toy, write_table(toy.root, rows, separator, encoding), **said)
    project = Project(toy.root)
    assert project.pipeline.source.separator == separator
    assert set(project.schema.columns["Größe"].categories) == {row[-1] for row in rows[1:]}
    assert prepare_data(project).rejected == 0


def test_decimal_commas_are_told(toy: Project) -> None:
    adopt(toy, write_table(toy.root, [[cell.replace(".", ",") for cell in row] for row in make_rows()], ";"), "weight")
    assert Project(toy.root).pipeline.source.decimal_comma
    assert prepare_data(Project(toy.root)).rejected == 0
    assert read_split(Project(toy.root).splits, "train")["length"].max() < 10  # type: ignore[operator]


@pytest.mark.parametrize(("form", "different"), [("${},250.00", 6), ("{}%", ROWS), ("€ {}", ROWS), ("{},250", ROWS)])
def test_numbers_with_signs_or_marks_are_ignored_with_what_to_do(toy: Project, form: str, different: int) -> None:
    rows = make_rows({"price": [form.format(value) for value in range(100, 100 + different)]})
    assert "remove these to use them" in use_of(adopt(toy, rows), "price")
    refuse(toy, rows, r"values of price are none, such as .*; write them without", "price", task="regression")


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
        source = read_dialect(path, "utf8")[0]
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
@settings(max_examples=40, deadline=None)
def test_the_schema_is_read_back_as_it_was_meant(names: list[str], categories: list[str], low: float) -> None:
    columns = {name: Column(type="category", categories=tuple(categories)) for name in names}
    schema = Schema(task="regression", target="y", columns=columns | {"y": Column(type="number", minimum=low)})
    assert Schema.model_validate(yaml.safe_load(write_settings("x.csv", schema, shortly=True))) == schema


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
    assert ("rows of one value share a split" in use_of(adoption, name)) == (use == "group")


def test_of_two_groups_the_coarser_is_taken_and_the_other_named(toy: Project) -> None:
    rows = make_orders("customer_id", range(100_000, 100_700))
    rows = [[*row, "household" if row[0] == "customer_id" else f"h{int(row[0]) % 233}"] for row in rows]
    adoption = adopt(toy, rows)
    assert adoption.schema.groups == ["household"]
    assert use_of(adoption, "customer_id") == "ignored: names who a row is about, as 'household' does"


def test_rare_categories_count_as_other(toy: Project) -> None:
    adoption = adopt(toy, make_orders("colour", ["red", "blue"] * 500 + ["mauve"]))
    assert adoption.schema.columns["colour"].categories == ("blue", "red")


def test_how_many_rows_test_follows_from_the_table_and_not_from_the_one_before(toy: Project) -> None:
    split = {"validation": 0.3, "test": 0.05, "seed": 3}
    adopt(change_config(toy, "pipeline", split=split), make_rows())
    made = Project(toy.root).pipeline.split
    assert (made.validation, made.test, made.seed) == (0.15, 0.2, 3)


def test_the_time_between_two_dates_becomes_a_feature(toy: Project) -> None:
    first = [datetime(2024, 1, 1) + timedelta(days=7 * place % 90) for place in range(ROWS)]
    later = [moment + timedelta(days=place % 11) for place, moment in enumerate(first)]
    adopt(toy, make_rows({"arrival": [f"{moment:%Y-%m-%d}" for moment in later], "booked": first}))
    (feature,) = Project(toy.root).model.features.derived
    assert feature.name == "days_from_arrival_to_booked"
    assert (feature.operation, feature.columns) == ("difference", ("booked", "arrival"))


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


def test_rows_that_repeat_others_are_kept(toy: Project) -> None:
    adopt(toy, [[row[1], row[3]] for row in make_rows()])
    assert Project(toy.root).pipeline.validation.duplicates == "keep"
    assert sum(prepare_data(Project(toy.root)).rows.values()) == ROWS


@pytest.mark.parametrize(
    ("target", "leak"),
    [("kind", "code"), ("kind", "refund"), ("kind", "reason"), ("weight", "factor"), ("kind", "state")],
)
def test_a_column_that_gives_the_target_away_is_named(toy: Project, target: str, leak: str) -> None:
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
    (warning,) = (note for note in notes if note.startswith(f"{leak}: "))
    assert "It alone tells the target suspiciously well" in warning


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"no header of several columns"),
        (b"\n\n", r"no header of several columns"),
        (b"a,kind\n", r"has a header line and no rows"),
        (b"kind\na\nb\n", r"no header of several columns"),
        (b"a,kind\n" + b"1,x\n" * 60 + b"1,x,7\n", r"the header has 2 fields, but line 62 has 3"),
        (b"a,kind\n" + b"1,x\n" * 60 + b"1\n", r"the header has 2 fields, but line 62 has 1"),
        (b"1,a,0.5\n" + b"2,b,1.5\n" * 60, r"The first line of the file has '1', 'a', '0.5'"),
        (b"sep=;\na;kind\n1;x\n", r"The first line of the file has 'sep='"),
        (b"PK\x03\x04\x8e..", r"save a workbook as CSV"),
        (b"\x1f\x8b....", r"cannot be read as utf8"),
    ],
)
def test_a_file_that_is_no_table_is_refused(toy: Project, content: bytes, message: str) -> None:
    path = toy.root / "broken.csv"
    path.write_bytes(content)
    refuse(toy, path, message)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y%m%d"])
def test_a_split_by_time_holds_out_the_latest_rows(toy: Project, form: str) -> None:
    days = [(datetime(2023, 1, 1) + timedelta(days=number)).strftime(form) for number in range(ROWS)]
    adopt(toy, make_rows({"sold_on": days}), time="sold_on")
    project = Project(toy.root)
    assert project.pipeline.split == SplitSettings(seed=toy.pipeline.split.seed, time_column="sold_on")
    assert prepare_data(project).rows == {"train": 78, "validation": 18, "test": 24}
    assert read_split(project.splits, "test")["sold_on"].min() == datetime(2023, 1, 1) + timedelta(days=96)


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
    numbers = dict.fromkeys(("length", "weight"), "number") | {"gaps": "integer"}
    assert types == {"colour": "category", "clock": "category", "day": "timestamp", "when": "timestamp"} | numbers
    assert adoption.schema.labels == ("false", "true")
    assert [name for name, column in adoption.schema.columns.items() if column.nullable] == ["weight", "gaps"]
    assert prepare_data(Project(toy.root)).rejected == 0


def test_what_was_decided_is_printed(toy: Project, capsys: pytest.CaptureFixture[str]) -> None:
    print_adoption(adopt(toy, make_rows({"[id]": range(ROWS)})))
    printed = capsys.readouterr().out
    decided = ("length", "number", "2 values", "2 classes", "classification of 'kind', 120 rows of mine.csv")
    assert [words for words in (*decided, "make pipeline") if words not in printed] == []
