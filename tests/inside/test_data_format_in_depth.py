"""What `data` accepts, what it rejects, and what it leaves behind."""

from pathlib import Path

import polars as pl
import pytest
from demo_project.config import PipelineSettings, PlacedSplit, Project, SourceSettings
from demo_project.data.loading import scan_table
from demo_project.data.preparation import prepare_data
from demo_project.data.splitting import SPLITS, is_unseen, place_cutoffs, read_split
from demo_project.data.validation import check_rows
from demo_project.errors import ProjectError
from demo_project.schema import Column
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .test_data_format import BAD, GOOD, MONTHLY, MONTHS, monthly, write_month  # noqa: F401
from .toys import TOY_HEADER, TOY_SCHEMA, toy_rows, write_config, write_raw


def test_added_rows_move_no_others_between_splits_and_these_have_the_shares_of_the_settings(
    toy: Project,
) -> None:
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


@settings(deadline=None)
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


def test_rows_that_cannot_be_used_move_no_cut_off(monthly: Project) -> None:
    before = prepare_data(monthly).split
    unusable = [*(f",1,2024-05-{day:02}" for day in range(1, 7)), "2,1,", "3,1,"]
    write_raw(monthly.root, unusable, "unusable.csv", "demand,price,day")
    summary = prepare_data(monthly)
    assert summary.split == before
    assert summary.by_rule == {"demand: missing": 6, "day: missing": 2}


@given(
    days=st.lists(st.integers(0, 30), min_size=3, max_size=60).filter(lambda days: len(set(days)) > 2),
    test=st.floats(0.05, 0.5),
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


def test_a_version_that_was_split_row_by_row_may_have_seen_the_test_rows_of_today() -> None:
    assert is_unseen(PlacedSplit(), PlacedSplit())
    assert not is_unseen(PlacedSplit(), PlacedSplit(group_by="row"))


def test_a_column_without_three_times_cannot_be_split_by(monthly: Project) -> None:
    write_raw(monthly.root, ["1,1,2024-01-01", "2,2,2024-01-02"] * 30, f"{MONTHS[0]}.csv", "demand,price,day")
    with pytest.raises(ProjectError, match=r"'day' has 2 different times, which cannot be cut into three splits"):
        prepare_data(monthly)


def test_parquet_is_read_alike_in_a_project_with_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pl.DataFrame({"size": [1234.5, 0.25, None], "text": ["1234,5", "0,25", None]}).write_parquet(path)
    source = SourceSettings(decimal_comma=True)
    columns = {name: Column(type="number") for name in ("size", "text")}
    checked = check_rows(scan_table(path, source), columns, source)
    assert checked.frame.select(checked.typed()).collect().rows() == [
        (1234.5, 1234.5),
        (0.25, 0.25),
        (None, None),
    ]
