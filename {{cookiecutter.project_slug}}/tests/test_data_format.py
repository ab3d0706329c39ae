"""What `data` accepts, what it rejects, and what it leaves behind."""

import random
import re
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project, SourceSettings
from {{ cookiecutter.__package }}.data.preparation import prepare_data, read_summary
from {{ cookiecutter.__package }}.data.splitting import IDENTITY, SPLITS, read_split
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


def test_rows_that_look_alike_are_split_where_an_identifier_tells_them_apart(toy: Project) -> None:
    few = [f"{kind},{size},,,true,{kind} {n}" for n in range(200) for kind, size in (("big", 60), ("small", n % 3))]
    write_raw(toy.root, few)
    together = change_config(toy, "pipeline", split={"validation": 0.01, "test": 0.01})
    assert min(prepare_data(together).rows.values()) == 0
    with pytest.raises(ProjectError, match=r"split has no rows.*`role: identifier`"):
        train_model(Project(toy.root))
    write_raw(toy.root, [*few, *few[:9]])
    columns = TOY_SCHEMA["columns"] | {"note": {"type": "text", "role": "identifier"}}
    write_config(toy.root, "schema", TOY_SCHEMA | {"columns": columns})
    apart = prepare_data(change_config(toy, "pipeline", split={"validation": 0.2, "test": 0.3}))
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
    split = {"time_column": "size" if by_time else None}
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
