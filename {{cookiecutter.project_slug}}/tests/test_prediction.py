"""Batch predictions."""

import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.prediction import predict_file

from .toys import write_raw

HEADER = "size,age,colour,striped,extra"


def _predict(project: Project, *lines: str, suffix: str = ".csv") -> tuple[pl.DataFrame, int, int]:
    source = write_raw(project.root, list(lines), name="../batch.csv", header=HEADER)
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


@pytest.mark.parametrize(
    ("name", "content", "output", "message"),
    [
        ("rows.csv", None, "x.csv", r"rows\.csv does not exist"),
        ("rows.txt", "size\n1\n", "x.csv", r"is no \.csv, \.tsv, \.parquet file"),
        ("rows.csv", "size\n1\n", "x.csv", r"lacks the column\(s\) 'age', 'colour', 'striped'"),
        ("rows.csv", "", "x.csv", r"rows\.csv is empty"),
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
