"""What `data` accepts, what it rejects, and what it leaves behind."""

import random
import re
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from {{ cookiecutter.__package }}.config import PipelineSettings, Project, SourceSettings
from {{ cookiecutter.__package }}.data.loading import scan_table
from {{ cookiecutter.__package }}.data.preparation import prepare_data, read_summary
from {{ cookiecutter.__package }}.data.splitting import IDENTITY, SPLITS, place_cutoffs, read_split
from {{ cookiecutter.__package }}.data.validation import check_rows
from {{ cookiecutter.__package }}.errors import ProjectError, PromotionRefusedError
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.schema import Column, Schema

from .toys import TOY_HEADER, TOY_SCHEMA, change_config, read_files, run_pipeline, toy_rows, write_config, write_raw

GOOD, BAD = "big,60.5,30,red,true,x", "big,-1,30,red,true,x"


def test_the_projects_own_rows_keep_to_the_schema(trained: Project) -> None:
    summary = read_summary(trained)
    for split in SPLITS:
        frame = read_split(trained.splits, split)
        assert frame.height == summary.rows[split]
        assert frame[trained.schema.target].null_count() == 0
        for name, column in trained.schema.features.items():
            known = frame[name].drop_nulls()
            if column.unseen == "take":
                continue
            assert column.nullable or known.len() == frame.height
            assert column.minimum is None or known.ge(column.minimum).all()
            assert column.maximum is None or known.le(column.maximum).all()


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("big,much,30,red,true,x", ["size: type"]),
        ("big,inf,30,red,true,x", ["size: type"]),
        ("big,101,30,red,true,x", ["size: maximum"]),
        ("big,,30,red,true,x", ["size: missing"]),
        ("big,60.5,30.5,red,true,x", ["age: type"]),
        ("big,60.5,30,pink,true,x", ["colour: category"]),
        ("big,60.5,30,red,maybe,x", ["striped: type"]),
        (",60.5,30,red,true,x", ["kind: missing"]),
        ("big,-1,200,red,true,x", ["size: minimum", "age: maximum"]),
    ],
)
def test_a_row_that_breaks_rules_is_rejected_once_and_kept_aside(toy: Project, line: str, rules: list[str]) -> None:
    write_raw(toy.root, [*toy_rows(100), "big,60.5,NA,,true,may be missing", line])
    summary = prepare_data(toy)
    assert (summary.rejected, summary.by_rule) == (1, dict.fromkeys(rules, 1))
    assert sum(summary.rows.values()) == 101
    rejected = pl.read_csv(toy.rejected / "rows.csv.csv", infer_schema=False).fill_null("")
    assert rejected.rows() == [("102", *line.split(","), "; ".join(rules))]


@pytest.mark.parametrize(("duplicates", "rows"), [("reject", 101), ("keep", 103)])
def test_a_repeated_row_is_rejected_unless_the_settings_keep_it(toy: Project, duplicates: str, rows: int) -> None:
    write_raw(toy.root, [*toy_rows(100), GOOD, GOOD, GOOD])
    summary = prepare_data(change_config(toy, "pipeline", validation={"duplicates": duplicates}))
    assert sum(summary.rows.values()) == rows
    assert summary.by_rule == ({"row: duplicate": 2} if duplicates == "reject" else {})


def test_rows_with_the_same_features_share_a_split(toy: Project) -> None:
    twins = [f"big,{60 + number / 100},30,red,true,x" for number in range(60)]
    write_raw(toy.root, [*twins, *(line.replace("big", "small") for line in twins)])
    prepare_data(toy)
    for split in SPLITS:
        kinds = read_split(toy.splits, split)["kind"].cast(pl.String)
        assert (kinds == "big").sum() == (kinds == "small").sum()


@pytest.mark.parametrize(
    ("lines", "message", "code"),
    [
        ([TOY_HEADER, *toy_rows(90), *[BAD] * 10], r"10 of 100 rows \(10\.0%\).*rejected_share.*size: minimum", 2),
        ([TOY_HEADER, *[BAD] * 10], r"None of 10 rows can be used.*data/interim/rejected", 2),
        ([TOY_HEADER, *["big,60.5,30,r\udcff,true,x"] * 1000], r"rows\.csv cannot be read.*See source in config", 1),
        (["kind,length", "big,1"], r"lacks the column\(s\) 'size', 'age'.*it has 'kind', 'length'", 1),
        ([], r"put one there, or change source\.files", 1),
    ],
)
def test_a_table_that_cannot_be_used_leaves_the_former_data(
    toy: Project, lines: list[str], message: str, code: int
) -> None:
    prepare_data(toy)
    before, table = read_files(toy.splits), toy.raw / "rows.csv"
    table.unlink()
    if lines:
        table.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ProjectError, match=message) as refusal:
        prepare_data(toy)
    assert refusal.value.exit_code == code
    assert read_files(toy.splits) == before


def test_the_same_rows_give_the_same_bytes_and_splits_whatever_version_splits_them(toy: Project) -> None:
    assert prepare_data(toy).rows == {"train": 206, "validation": 79, "test": 115}
    before = read_files(toy.splits)
    prepare_data(toy)
    assert read_files(toy.splits) == before
    assert read_split(toy.splits, "test")["_row"].head(8).to_list() == [2, 7, 12, 13, 14, 15, 17, 18]


def test_added_rows_move_no_others_between_splits_and_these_have_the_shares_of_the_settings(toy: Project) -> None:
    lines = toy_rows(200)
    write_raw(toy.root, lines)
    prepare_data(toy)
    before = {split: read_split(toy.splits, split)["size"] for split in SPLITS}
    write_raw(toy.root, [*toy_rows(19_800, seed=9), *lines][::-1])
    rows = prepare_data(toy).rows
    for split in SPLITS:
        assert before[split].is_in(read_split(toy.splits, split)["size"].implode()).all()
    assert rows["test"] / 20_000 == pytest.approx(0.3, abs=0.015)
    assert rows["validation"] / 20_000 == pytest.approx(0.2, abs=0.015)


def test_files_of_any_kind_and_number_give_the_rows_of_one(toy: Project) -> None:
    def read_splits() -> list[pl.DataFrame]:
        prepare_data(toy)
        return [read_split(toy.splits, split).drop("_row").sort("note") for split in SPLITS]

    whole, frame = read_splits(), pl.read_csv(toy.raw / "rows.csv")
    (toy.raw / "rows.csv").unlink()
    frame.gather_every(3).write_parquet(toy.raw / "part.parquet")
    frame.gather_every(3, 1).write_csv(toy.raw / "part.tsv", separator="\t")
    frame.gather_every(3, 2).write_csv(toy.raw / "part[2].csv")
    assert all(one.equals(other) for one, other in zip(read_splits(), whole, strict=True))


@given(value=st.text(max_size=20))
def test_whatever_a_cell_holds_it_is_read_or_rejected_but_not_changed(value: str) -> None:
    columns = {"size": Column(type="number", minimum=-5, maximum=5)}
    checked = check_rows(pl.LazyFrame({"size": [value]}), columns, SourceSettings())
    frame = checked.frame.with_columns(checked.is_valid.alias("valid"), checked.describe_broken().alias("rules"))
    row = frame.with_columns(checked.typed()).collect().row(0, named=True)
    assert row["valid"] == (row["rules"] == "")
    if row["valid"]:
        assert -5 <= row["size"] <= 5
        assert float(value) == row["size"]


MONTHS = ("2024-01", "2024-02", "2024-03")
MONTHLY = {
    "demand": {"type": "number"},
    "price": {"type": "number"},
    "day": {"type": "timestamp", "format": "%Y-%m-%d", "role": "ignored"},
}


def write_month(root: Path, month: str) -> None:
    """A file of one month in which the price counts for twice as much as in the month before."""
    generator = random.Random(month)
    slope = 2.0 ** MONTHS.index(month)
    lines = []
    for number in range(250):
        price = generator.uniform(0, 10)
        lines.append(f"{slope * price + generator.gauss(0, 0.1)},{price},{month}-{1 + number // 10:02}")
    write_raw(root, lines, f"{month}.csv", "demand,price,day")


@pytest.fixture
def monthly(tmp_path: Path) -> Project:
    """A project that is split by time, with the first month's file."""
    write_config(tmp_path, "schema", {"task": "regression", "target": "demand", "columns": MONTHLY})
    write_config(tmp_path, "pipeline", {"split": {"validation": 0.2, "test": 0.2, "time_column": "day"}})
    write_config(tmp_path, "model", {"estimator": "ridge", "gate": {"metric": "rmse", "minimum": 99, "resamples": 200}})
    write_config(tmp_path, "tracking", {"enabled": False})
    write_month(tmp_path, MONTHS[0])
    return Project(tmp_path)


def test_a_split_by_time_learns_from_new_files_and_compares_on_rows_that_no_model_learnt_from(monthly: Project) -> None:
    known_until = datetime.min
    for number, month in enumerate(MONTHS, start=1):
        write_month(monthly.root, month)
        assert run_pipeline(monthly) == f"models/latest is now v{number}"
        manifest = Registry(monthly.models).manifest(f"v{number}")
        assert manifest.data.rows == {"train": 150 * number, "validation": 50 * number, "test": 50 * number}
        assert manifest.gate is not None
        assert manifest.gate.against == (f"v{number - 1}" if number > 1 else None)
        days = {split: read_split(monthly.splits, split)["day"].to_list() for split in SPLITS}
        assert min(days["test"]) > known_until
        known_until = max(days["validation"])
        assert max(days["train"]) < min(days["validation"]) <= known_until < min(days["test"])
    earlier = change_config(monthly, "pipeline", split={"validation": 0.2, "test": 0.5, "time_column": "day"})
    with pytest.raises(PromotionRefusedError, match=r"test rows.*may be among those that v3 was trained on"):
        run_pipeline(earlier)
    by_chance = change_config(monthly, "pipeline", split={"validation": 0.2, "test": 0.2})
    with pytest.raises(PromotionRefusedError, match=r"another split.*--new-schema"):
        run_pipeline(by_chance)


def test_fixed_cut_offs_stay_where_they_are(monthly: Project) -> None:
    fixed = {"time_column": "day", "validation_from": "2024-01-11", "test_from": "2024-01-21"}
    project = change_config(monthly, "pipeline", split=fixed)
    assert prepare_data(project).rows == {"train": 100, "validation": 100, "test": 50}
    write_month(project.root, MONTHS[1])
    assert prepare_data(project).rows == {"train": 100, "validation": 100, "test": 300}


def test_rows_that_cannot_be_used_move_no_cut_off(monthly: Project) -> None:
    before = prepare_data(monthly).split
    unusable = [*(f",1,2024-05-{day:02}" for day in range(1, 7)), "2,1,", "3,1,"]
    write_raw(monthly.root, unusable, "unusable.csv", "demand,price,day")
    summary = prepare_data(monthly)
    assert summary.split == before
    assert summary.by_rule == {"demand: missing": 6, "day: missing": 2}


@given(
    days=st.lists(st.integers(0, 30), min_size=3, max_size=60).filter(lambda days: len(set(days)) > 2),
    test=st.floats(0.05, 0.9),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_split_by_time_is_empty_or_cuts_through_a_time(toy: Project, days: list[int], test: float) -> None:
    columns = TOY_SCHEMA["columns"] | {"day": {"type": "integer", "role": "ignored"}}
    write_config(toy.root, "schema", TOY_SCHEMA | {"columns": columns})
    lines = [f"{GOOD},{day}" for day in days]
    write_raw(toy.root, lines, header=f"{TOY_HEADER},day")
    split = {"time_column": "day", "test": test, "validation": (1 - test) / 2}
    pipeline = PipelineSettings.model_validate({"split": split})
    found = place_cutoffs([toy.raw / "rows.csv"], Project(toy.root).schema, pipeline)
    assert min(days) < found.validation_from < found.test_from <= max(days)  # type: ignore[operator]


def test_a_column_without_three_times_cannot_be_split_by(monthly: Project) -> None:
    write_raw(monthly.root, ["1,1,2024-01-01", "2,2,2024-01-02"] * 30, f"{MONTHS[0]}.csv", "demand,price,day")
    with pytest.raises(ProjectError, match=r"'day' has 2 different times, which cannot be cut into three splits"):
        prepare_data(monthly)


def test_rows_that_look_alike_are_split_where_the_settings_say_so(toy: Project) -> None:
    few = [f"{kind},{size},,,true,line {n}" for n in range(200) for kind, size in (("big", 60), ("small", n % 3))]
    write_raw(toy.root, few)
    together = change_config(toy, "pipeline", split={"validation": 0.01, "test": 0.01})
    assert min(prepare_data(together).rows.values()) == 0
    with pytest.raises(ProjectError, match=r"split has no rows.*`group_by: row`"):
        train_model(Project(toy.root))
    write_raw(toy.root, [*few, *few[:9]])
    apart = prepare_data(change_config(toy, "pipeline", split={"validation": 0.2, "test": 0.3, "group_by": "row"}))
    assert apart.rows["test"] / 400 == pytest.approx(0.3, abs=0.08)
    assert apart.by_rule == {"row: duplicate": 9}


def test_rows_of_one_identifier_share_a_split(toy: Project) -> None:
    columns = TOY_SCHEMA["columns"] | {"note": {"type": "text", "role": "identifier"}}
    write_config(toy.root, "schema", TOY_SCHEMA | {"columns": columns})
    write_raw(toy.root, [re.sub(r"line \d+", f"owner {number % 60}", row) for number, row in enumerate(toy_rows(300))])
    prepare_data(toy)
    owners = [set(read_split(toy.splits, split)["note"]) for split in SPLITS]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 60


@pytest.mark.parametrize("by_time", [False, True])
def test_rows_of_one_group_share_an_identity_and_without_a_time_a_split(toy: Project, by_time: bool) -> None:
    columns = TOY_SCHEMA["columns"] | {"note": {"type": "integer", "role": "group"}}
    write_config(toy.root, "schema", TOY_SCHEMA | {"columns": columns})
    rows = [re.sub(r"line \d+", str(number % 60 or ""), row) for number, row in enumerate(toy_rows(300))]
    write_raw(toy.root, [*rows, rows[7]])
    split = {"time_column": "size"} if by_time else {"group_by": "row"}
    summary = prepare_data(change_config(toy, "pipeline", split=split))
    assert summary.by_rule == {"row: duplicate": 1}
    frames = [read_split(toy.splits, split) for split in SPLITS]
    groups = [frame.drop_nulls("note").group_by("note").agg(pl.n_unique(IDENTITY)) for frame in frames]
    assert all(group[IDENTITY].eq(1).all() for group in groups)
    assert (sum(group.height for group in groups) == 59) is not by_time
    # Rows that belong to no group do not stay together.
    assert sum(frame["note"].null_count() > 0 for frame in frames) > 1


def test_new_values_that_are_taken_reject_no_row_but_values_of_another_type_do() -> None:
    columns = {name: Column.model_validate(TOY_SCHEMA["columns"][name]) for name in ("size", "colour")}
    taking = {name: column.model_copy(update={"unseen": "take"}) for name, column in columns.items()}
    raw = pl.LazyFrame({"size": ["-1", "200", "x", "5"], "colour": ["pink", "red", "red", None]})
    checked = check_rows(raw, taking, SourceSettings())
    found = checked.frame.select(checked.is_valid, *checked.typed()).collect()
    assert found["_valid"].to_list() == [True, True, False, True]
    assert found["size"].to_list() == [-1, 200, None, 5]
    assert found["colour"].to_list() == [None, "red", "red", None]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"type": "text", "unseen": "take"}, "unseen: take belongs to numbers and to categories with a list"),
        ({"type": "category", "unseen": "take"}, "unseen: take belongs to numbers and to categories with a list"),
        ({"type": "text", "categories": ["a"]}, "categories belong to type category, not text"),
        ({"type": "timestamp"}, "a timestamp column needs its format"),
    ],
)
def test_a_column_that_makes_no_sense_is_refused(column: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Column.model_validate(column)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"type": "text"}, "needs target 'kind' of type category, with two or more categories"),
        ({"type": "category"}, "needs target 'kind' of type category, with two or more categories"),
        ({"role": "group"}, "target 'kind' cannot be group"),
        ({"unseen": "take"}, "target 'kind' cannot take unseen values"),
    ],
)
def test_a_target_that_cannot_be_predicted_is_refused(kind: dict[str, object], message: str) -> None:
    target = kind if "type" in kind else TOY_SCHEMA["columns"]["kind"] | kind
    with pytest.raises(ValueError, match=message):
        Schema.model_validate(TOY_SCHEMA | {"columns": TOY_SCHEMA["columns"] | {"kind": target}})


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"time_column": "x", "test_from": 2}, "belong together"),
        ({"validation_from": 1, "test_from": 2}, "belong together and to a time_column"),
        ({"time_column": "x", "validation_from": 2, "test_from": 1}, "validation_from must lie before test_from"),
        ({"time_column": "x", "validation_from": 2, "test_from": "2024-01-01"}, "both be numbers or both be times"),
    ],
)
def test_a_half_said_split_by_time_is_refused(split: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PipelineSettings.model_validate({"split": split})


def test_digits_must_be_in_groups_of_three() -> None:
    texts = {"1,234": 1234, "1,234,567.5": 1234567.5, "12": 12, "1,23": None, "12,34,567": None, ",123": None}
    source = SourceSettings(thousands=",")
    checked = check_rows(pl.LazyFrame({"size": list(texts)}), {"size": Column(type="number")}, source)
    assert checked.frame.select(checked.typed()).collect()["size"].to_list() == list(texts.values())


def test_parquet_is_read_alike_in_a_project_with_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pl.DataFrame({"size": [1234.5, 0.25, None], "text": ["1.234,5", "0,25", None]}).write_parquet(path)
    source = SourceSettings(decimal_comma=True, thousands=".")
    columns = {name: Column(type="number") for name in ("size", "text")}
    checked = check_rows(scan_table(path, source), columns, source)
    assert checked.frame.select(checked.typed()).collect().rows() == [(1234.5, 1234.5), (0.25, 0.25), (None, None)]
