"""What `data` accepts, what it rejects, and what it leaves behind."""

import random
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from {{ cookiecutter.__package }}.config import PipelineSettings, Project, SourceSettings
from {{ cookiecutter.__package }}.data.loading import scan_table
from {{ cookiecutter.__package }}.data.preparation import prepare_data, read_summary
from {{ cookiecutter.__package }}.data.splitting import SPLITS, Split, place_cutoffs, read_split
from {{ cookiecutter.__package }}.data.validation import check_rows
from {{ cookiecutter.__package }}.errors import DataRejectedError, ProjectError, PromotionRefusedError
from {{ cookiecutter.__package }}.modeling.pipeline import run_pipeline
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.schema import Column

from .toys import TOY_HEADER, TOY_SCHEMA, change_config, read_files, toy_rows, write_config, write_raw

GOOD = "big,60.5,30,red,true,x"


def test_the_projects_own_rows_keep_to_the_schema(trained: Project) -> None:
    summary = read_summary(trained)
    for split in SPLITS:
        frame = read_split(trained.splits, split)
        assert frame.height == summary.rows[split]
        for name, column in trained.schema.features.items():
            assert column.nullable or frame[name].null_count() == 0
            if column.minimum is not None:
                assert frame[name].drop_nulls().ge(column.minimum).all()
            if column.maximum is not None:
                assert frame[name].drop_nulls().le(column.maximum).all()
        assert frame[trained.schema.target].null_count() == 0


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("big,much,30,red,true,x", "size: type"),
        ("big,inf,30,red,true,x", "size: type"),
        ("big,-1,30,red,true,x", "size: minimum"),
        ("big,101,30,red,true,x", "size: maximum"),
        ("big,,30,red,true,x", "size: missing"),
        ("big,60.5,30.5,red,true,x", "age: type"),
        ("big,60.5,30,pink,true,x", "colour: category"),
        ("big,60.5,30,red,maybe,x", "striped: type"),
        ("huge,60.5,30,red,true,x", "kind: category"),
        (",60.5,30,red,true,x", "kind: missing"),
    ],
)
def test_a_row_that_breaks_a_rule_is_rejected_and_kept_aside(toy: Project, line: str, rule: str) -> None:
    write_raw(toy.root, [*toy_rows(100), line])
    summary = prepare_data(toy)
    assert summary.by_rule == {rule: 1}
    assert sum(summary.rows.values()) == 100
    rejected = pl.read_csv(toy.rejected / "rows.csv.csv", infer_schema=False)
    assert rejected["rules"].to_list() == [rule]
    assert rejected["_row"].to_list() == ["101"]
    assert [value or "" for value in rejected.row(0)[1:-1]] == line.split(",")


def test_a_row_that_breaks_two_rules_is_rejected_once(toy: Project) -> None:
    write_raw(toy.root, [*toy_rows(100), "big,-1,200,red,true,x"])
    summary = prepare_data(toy)
    assert summary.rejected == 1
    assert summary.by_rule == {"size: minimum": 1, "age: maximum": 1}


def test_missing_values_are_accepted_where_the_schema_says_so(toy: Project) -> None:
    write_raw(toy.root, [*toy_rows(100), "big,60.5,NA,,true,x"])
    assert prepare_data(toy).rejected == 0


def test_a_repeated_row_is_rejected(toy: Project) -> None:
    write_raw(toy.root, [*toy_rows(100), GOOD, GOOD, GOOD])
    summary = prepare_data(toy)
    assert summary.by_rule == {"row: duplicate": 2}
    assert sum(summary.rows.values()) == 101


def test_repeated_rows_stay_where_the_settings_keep_them(toy: Project) -> None:
    write_raw(toy.root, [*toy_rows(100), GOOD, GOOD, GOOD])
    kept = change_config(toy, "pipeline", validation={"duplicates": "keep"})
    assert sum(prepare_data(kept).rows.values()) == 103


def test_rows_with_the_same_features_share_a_split(toy: Project) -> None:
    twins = [f"big,{60 + number / 100},30,red,true,x" for number in range(60)]
    write_raw(toy.root, [*twins, *(line.replace("big", "small") for line in twins)])
    prepare_data(toy)
    for split in SPLITS:
        kinds = read_split(toy.splits, split)["kind"].cast(pl.String)
        assert (kinds == "big").sum() == (kinds == "small").sum()


def test_too_many_bad_rows_stop_the_run_and_leave_the_former_data(toy: Project) -> None:
    prepare_data(toy)
    before = read_files(toy.splits)
    write_raw(toy.root, [*toy_rows(90), *(["big,-1,30,red,true,x"] * 10)])
    with pytest.raises(DataRejectedError, match=r"10 of 100 rows \(10\.0%\).*maximum_rejected_share.*size: minimum"):
        prepare_data(toy)
    assert read_files(toy.splits) == before
    assert DataRejectedError.exit_code == 2


def test_a_table_of_which_no_row_is_good_stops_the_run_and_leaves_the_former_data(toy: Project) -> None:
    prepare_data(toy)
    before = read_files(toy.splits)
    write_raw(toy.root, ["big,-1,30,red,true,x"] * 10)
    with pytest.raises(DataRejectedError, match=r"None of 10 rows can be used.*data/interim/rejected"):
        prepare_data(toy)
    assert read_files(toy.splits) == before


def test_a_damaged_file_leaves_the_former_data(toy: Project) -> None:
    prepare_data(toy)
    before = read_files(toy.splits)
    (toy.raw / "z.csv").write_bytes(f"{TOY_HEADER}\n".encode() + b"big,60.5,30,r\xff\xfe,true,x\n" * 1000)
    with pytest.raises(ProjectError, match=r"z\.csv"):
        prepare_data(toy)
    assert read_files(toy.splits) == before


def test_a_missing_column_is_named_with_what_the_file_has(toy: Project) -> None:
    write_raw(toy.root, ["big,1"], header="kind,length")
    with pytest.raises(ProjectError, match=r"lacks the column\(s\) 'size', 'age'.*it has 'kind', 'length'"):
        prepare_data(toy)


def test_an_empty_folder_is_refused(toy: Project) -> None:
    (toy.raw / "rows.csv").unlink()
    with pytest.raises(ProjectError, match=r"put one there, or change source\.files"):
        prepare_data(toy)


def test_the_same_rows_give_the_same_bytes(toy: Project) -> None:
    prepare_data(toy)
    before = read_files(toy.splits)
    prepare_data(toy)
    assert read_files(toy.splits) == before


def test_rows_stay_in_their_splits_whatever_version_splits_them(toy: Project) -> None:
    assert prepare_data(toy).rows == {"train": 206, "validation": 79, "test": 115}
    assert read_split(toy.splits, "test")["_row"].head(8).to_list() == [2, 7, 12, 13, 14, 15, 17, 18]


def test_added_rows_do_not_move_others_between_splits(toy: Project) -> None:
    lines = toy_rows(200)
    write_raw(toy.root, lines)
    prepare_data(toy)
    before = {split: read_split(toy.splits, split)["size"] for split in SPLITS}
    write_raw(toy.root, [*toy_rows(300, seed=9), *lines][::-1])
    prepare_data(toy)
    for split in SPLITS:
        assert before[split].is_in(read_split(toy.splits, split)["size"].implode()).all()


def test_the_splits_have_the_shares_of_the_settings(toy: Project) -> None:
    write_raw(toy.root, toy_rows(20_000))
    rows = prepare_data(toy).rows
    assert rows["test"] / 20_000 == pytest.approx(0.3, abs=0.015)
    assert rows["validation"] / 20_000 == pytest.approx(0.2, abs=0.015)


def test_many_files_give_the_rows_of_one(toy: Project) -> None:
    lines = toy_rows(300)
    write_raw(toy.root, lines)
    prepare_data(toy)
    whole = {split: read_split(toy.splits, split).drop("_row").sort("note") for split in SPLITS}
    (toy.raw / "rows.csv").unlink()
    for number in range(3):
        write_raw(toy.root, lines[number::3], name=f"part{number}.csv")
    prepare_data(toy)
    for split in SPLITS:
        assert read_split(toy.splits, split).drop("_row").sort("note").equals(whole[split])


def test_parquet_and_tsv_are_read_as_csv_is(toy: Project) -> None:
    raw = toy.raw / "rows.csv"
    summary = prepare_data(toy)
    frame = pl.read_csv(raw)
    raw.unlink()
    frame.write_parquet(toy.raw / "rows.parquet")
    assert prepare_data(toy).rows == summary.rows
    (toy.raw / "rows.parquet").unlink()
    frame.write_csv(toy.raw / "rows.tsv", separator="\t")
    assert prepare_data(toy).rows == summary.rows


@given(value=st.text(max_size=20))
def test_whatever_a_cell_holds_it_is_read_or_rejected_but_not_changed(value: str) -> None:
    columns = {"size": Column(type="number", minimum=-5, maximum=5)}
    checked = check_rows(pl.LazyFrame({"size": [value]}), columns)
    frame = checked.frame.with_columns(checked.is_valid.alias("valid"), checked.describe_broken().alias("rules"))
    row = frame.with_columns(checked.typed()).collect().row(0, named=True)
    assert row["valid"] == (row["rules"] == "")
    if row["valid"]:
        assert -5 <= row["size"] <= 5
        assert float(value) == row["size"]


def test_a_table_of_many_rules_is_checked_in_full() -> None:
    columns = {f"c{number}": Column(type="integer", minimum=0, maximum=9) for number in range(60)}
    good = dict.fromkeys(columns, "5")
    bad = good | {"c0": "-1", "c59": "x"}
    checked = check_rows(pl.LazyFrame([good, bad]), columns)
    rules = checked.frame.select(checked.describe_broken()).collect().to_series().to_list()
    assert rules == ["", "c0: minimum; c59: type"]


MONTHS = ("2024-01", "2024-02", "2024-03")
MONTHLY: dict[str, Any] = {
    "task": "regression",
    "target": "demand",
    "columns": {
        "demand": {"type": "number"},
        "price": {"type": "number"},
        "day": {"type": "timestamp", "format": "%Y-%m-%d", "role": "ignored"},
    },
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
    write_config(tmp_path, "schema", MONTHLY)
    write_config(tmp_path, "pipeline", {"split": {"validation": 0.2, "test": 0.2, "time_column": "day"}})
    write_config(tmp_path, "model", {"estimator": "ridge", "gate": {"metric": "rmse", "minimum": 99, "resamples": 200}})
    write_config(tmp_path, "tracking", {"enabled": False})
    write_month(tmp_path, MONTHS[0])
    return Project(tmp_path)


def days_of(project: Project, split: Split) -> tuple[Any, Any]:
    """The first and last day in a split."""
    days = read_split(project.splits, split)["day"]
    return days.min(), days.max()


def test_a_split_by_time_learns_from_new_files_and_is_judged_on_rows_that_no_model_learnt_from(
    monthly: Project,
) -> None:
    known_until = datetime.min
    for number, month in enumerate(MONTHS, start=1):
        write_month(monthly.root, month)
        assert run_pipeline(monthly) == f"models/latest is now v{number}"
        manifest = Registry(monthly.models).manifest(f"v{number}")
        assert manifest.data.rows == {"train": 150 * number, "validation": 50 * number, "test": 50 * number}
        assert manifest.gate is not None
        assert manifest.gate.against == (f"v{number - 1}" if number > 1 else None)
        assert days_of(monthly, "test")[0] > known_until
        known_until = days_of(monthly, "validation")[1]
        assert days_of(monthly, "train")[1] < days_of(monthly, "validation")[0]
        assert known_until < days_of(monthly, "test")[0]


def test_a_model_is_not_compared_on_rows_that_it_may_have_learnt_from(monthly: Project) -> None:
    run_pipeline(monthly)
    earlier = change_config(monthly, "pipeline", split={"validation": 0.2, "test": 0.5, "time_column": "day"})
    with pytest.raises(PromotionRefusedError, match=r"test rows.*may be among those that v1 was trained on"):
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


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"time_column": "x", "test_from": 2}, "belong together"),
        ({"validation_from": 1, "test_from": 2}, "belong together and to a time_column"),
        ({"time_column": "x", "validation_from": 2, "test_from": 1}, "validation_from must lie before test_from"),
        (
            {"time_column": "x", "validation_from": 2, "test_from": "2024-01-01"},
            "both be numbers or both be timestamps",
        ),
    ],
)
def test_a_half_said_split_by_time_is_refused(split: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PipelineSettings.model_validate({"split": split})


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,234", 1234), ("1,234,567.5", 1234567.5), ("12", 12), ("1,23", None), ("12,34,567", None), (",123", None)],
)
def test_digits_must_be_in_groups_of_three(text: str, value: float | None) -> None:
    checked = check_rows(pl.LazyFrame({"size": [text]}), {"size": Column(type="number")}, thousands=",")
    assert checked.frame.select(checked.typed()).collect()["size"].to_list() == [value]


def test_parquet_is_read_alike_in_a_project_with_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pl.DataFrame({"size": [1234.5, 0.25, None], "text": ["1.234,5", "0,25", None]}).write_parquet(path)
    raw = scan_table(path, SourceSettings(decimal_comma=True, thousands="."))
    columns = {name: Column(type="number") for name in ("size", "text")}
    checked = check_rows(raw, columns, decimal_comma=True, thousands=".")
    assert checked.frame.select(checked.typed()).collect().rows() == [(1234.5, 1234.5), (0.25, 0.25), (None, None)]
