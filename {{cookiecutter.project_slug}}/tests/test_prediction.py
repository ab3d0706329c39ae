"""Batch predictions."""

import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.prediction import predict_file

from .toys import TOY_HEADER, change_config, run_pipeline, toy_rows, write_raw

HEADER = "size,age,colour,striped,extra"


def _predict(
    project: Project, *lines: str, suffix: str = ".csv", header: str = HEADER
) -> tuple[pl.DataFrame, int, int]:
    source = write_raw(project.root, list(lines), name="../batch.csv", header=header)
    output = project.root / f"scored{suffix}"
    summary = predict_file(project, source, output)
    return pl.read_csv(output) if suffix == ".csv" else pl.read_parquet(output), summary.scored, summary.refused


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_row_comes_back_in_its_place_with_its_columns(trained_toy: Project, suffix: str) -> None:
    lines = [f"{size},20,red,true,row {size}" for size in range(90)]
    frame, scored, refused = _predict(trained_toy, *lines, suffix=suffix)
    assert (scored, refused) == (90, 0)
    assert frame["extra"].to_list() == [f"row {size}" for size in range(90)]
    assert (frame["prediction"][0], frame["prediction"][89]) == ("small", "big")
    assert (frame["probability big"] + frame["probability small"]).is_between(0.999, 1.001).all()


def test_a_row_that_breaks_the_schema_is_kept_without_a_prediction(trained_toy: Project) -> None:
    bad = "-1,20,pink,true,b"
    frame, scored, refused = _predict(trained_toy, "10,20,red,true,a", bad, "80,20,red,true,c")
    assert (scored, refused) == (2, 1)
    assert frame["prediction"].to_list() == ["small", None, "big"]
    assert frame["error"].to_list() == [None, "size: minimum; colour: category", None]
    frame, scored, refused = _predict(trained_toy, bad)
    assert (scored, refused, frame["prediction"].to_list()) == (0, 1, [None])


def test_new_values_get_a_prediction_where_they_are_taken_and_other_types_do_not(toy: Project) -> None:
    columns = {name: column.model_dump(exclude_defaults=True) for name, column in toy.schema.columns.items()}
    columns |= {name: columns[name] | {"unseen": "take"} for name in ("size", "colour")}
    columns |= {"shop": {"type": "category"}, "said": {"type": "text", "nullable": True}}
    columns |= {"day": {"type": "timestamp", "format": "%d.%m.%Y"}}
    lines = [f"{line},s{place % 90},word {place},{1 + place % 28}.02.2024" for place, line in enumerate(toy_rows(400))]
    write_raw(toy.root, lines, header=f"{TOY_HEADER},shop,said,day")
    run_pipeline(change_config(toy, "schema", columns=columns))
    new = ["-5,20,pink,true,x,never,,31.12.2031", "1e9,20,red,true,x,s1,ok,01.02.2024"]
    wrong = "5,20,red,true,x,s1,ok,soon"
    frame, scored, refused = _predict(toy, *new, wrong, header=f"{HEADER},shop,said,day")
    assert (scored, refused) == (2, 1)
    assert frame["error"].to_list() == [None, None, "day: type"]


@pytest.mark.parametrize(
    ("name", "content", "output", "message"),
    [
        ("rows.csv", None, "x.csv", r"rows\.csv does not exist"),
        ("rows.txt", "size\n1\n", "x.csv", r"is no \.csv, \.tsv, \.parquet file"),
        ("rows.csv", "size\n1\n", "x.csv", r"lacks the column\(s\) 'age', 'colour', 'striped'"),
        ("rows.csv", "", "x.csv", r"rows\.csv cannot be read: empty CSV"),
        ("rows.csv", f"{HEADER}\n1,2,red,true,x\n", "x.xlsx", r"must end in \.csv or \.parquet"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(
    trained_toy: Project, name: str, content: str | None, output: str, message: str
) -> None:
    source = trained_toy.root / name
    if content is not None:
        source.write_text(content)
    before = set(trained_toy.root.iterdir())
    with pytest.raises(ProjectError, match=message):
        predict_file(trained_toy, source, trained_toy.root / "out" / output)
    assert set(trained_toy.root.iterdir()) == before
