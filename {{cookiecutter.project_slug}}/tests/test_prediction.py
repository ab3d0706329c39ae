"""Batch predictions."""

from pathlib import Path

import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.prediction import predict_file

from .toys import write_raw

HEADER = "size,age,colour,striped,extra"


def _write(project: Project, *lines: str, header: str = HEADER) -> Path:
    return write_raw(project.root, list(lines), name="../batch.csv", header=header)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_row_comes_back_in_its_place_with_its_columns(trained_toy: Project, suffix: str) -> None:
    source = _write(trained_toy, *(f"{size},20,red,true,row {size}" for size in range(90)))
    output = trained_toy.root / f"scored{suffix}"
    summary = predict_file(trained_toy, source, output)
    scored = pl.read_csv(output) if suffix == ".csv" else pl.read_parquet(output)
    assert (summary.scored, summary.refused) == (90, 0)
    assert scored["extra"].to_list() == [f"row {size}" for size in range(90)]
    assert scored["prediction"][0] == "small"
    assert scored["prediction"][89] == "big"
    assert (scored["probability big"] + scored["probability small"]).is_between(0.999, 1.001).all()


def test_a_row_that_breaks_the_schema_is_kept_without_a_prediction(trained_toy: Project) -> None:
    source = _write(trained_toy, "10,20,red,true,a", "-1,20,pink,true,b", "80,20,red,true,c")
    output = trained_toy.root / "scored.csv"
    summary = predict_file(trained_toy, source, output)
    scored = pl.read_csv(output)
    assert (summary.scored, summary.refused) == (2, 1)
    assert scored["prediction"].to_list() == ["small", None, "big"]
    assert scored["error"].to_list() == [None, "size: minimum; colour: category", None]


def test_a_file_of_bad_rows_alone_is_written_all_the_same(trained_toy: Project) -> None:
    source = _write(trained_toy, "-1,20,red,true,a")
    output = trained_toy.root / "scored.csv"
    assert predict_file(trained_toy, source, output).scored == 0
    assert pl.read_csv(output)["prediction"].to_list() == [None]


@pytest.mark.parametrize(
    ("name", "output", "message"),
    [
        ("nothing.csv", "x.csv", r"nothing\.csv does not exist"),
        ("rows.txt", "x.csv", r"is no \.csv, \.tsv, \.parquet file"),
        ("short.csv", "x.csv", r"lacks the column\(s\) 'age', 'colour', 'striped'"),
        ("empty.csv", "x.csv", r"empty\.csv is empty"),
        ("good.csv", "x.xlsx", r"must end in \.csv or \.parquet"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(
    trained_toy: Project, name: str, output: str, message: str
) -> None:
    root = trained_toy.root
    (root / "rows.txt").write_text("size\n1\n")
    (root / "short.csv").write_text("size\n1\n")
    (root / "empty.csv").write_text("")
    (root / "good.csv").write_text(f"{HEADER}\n1,2,red,true,x\n")
    before = set(root.iterdir())
    with pytest.raises(ProjectError, match=message):
        predict_file(trained_toy, root / name, root / output)
    assert set(root.iterdir()) == before
