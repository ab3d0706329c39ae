"""What `explore` says of a table: statistics, warnings, and a page that nothing in the data can break."""

import numpy as np
import polars as pl
import pytest
from demo_project.config import Project
from demo_project.data.exploration import (
    Exploration,
    explore_data,
    measure_associations,
    read_sample,
)
from demo_project.errors import ProjectError

from .test_profile import TOY_ROWS, Page, _with_columns
from .toys import change_config, make_toy, toy_rows, write_raw

NASTY = '</style></template><script>alert(\'"&${x}49")</script>'


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Exploration:
    """A table with a date, an identifier, and a category that tells the target."""
    toy = make_toy(tmp_path_factory.mktemp("varied"))
    date: dict[str, object] = {"type": "timestamp", "format": "%Y-%m-%d", "role": "ignored"}
    project = _with_columns(
        toy,
        day=(date, [f"2024-01-{day:02}" for day in range(1, 29)]),
        number=({"type": "integer", "role": "identifier"}, [str(number) for number in range(400)]),
        code=({"type": "category", "categories": ["b", "s"]}, [line[0] for line in TOY_ROWS]),
    )
    return explore_data(project)


def test_nothing_in_the_data_becomes_markup_and_the_page_asks_the_network_for_nothing(
    varied: Exploration, toy: Project
) -> None:
    other = {"red": NASTY, "green": "'\"&", "blue": "<b>"}
    frame = pl.read_csv(toy.raw / "rows.csv", infer_schema=False)
    (toy.raw / "rows.csv").unlink()
    frame.with_columns(pl.col("colour").replace(other)).rename({"colour": NASTY}).write_parquet(toy.raw / "a.parquet")
    columns = {name: column.model_dump() for name, column in toy.schema.columns.items() if name != "colour"}
    columns[NASTY] = {"type": "category", "categories": [*other.values(), "none"]}
    page, plain = Page(explore_data(change_config(toy, "schema", columns=columns))), Page(varied)
    assert page.elements.count("script") == plain.elements.count("script") == 2
    assert set(page.elements) <= set(plain.elements)
    assert page.texts.count(NASTY) > 2
    assert [address for address in plain.fetched if not address.startswith(("#", "data:"))] == []
    assert "default-src 'none'" in plain.source


def test_the_report_knows_dates_and_associations(varied: Exploration) -> None:
    report = varied.report.dict()
    columns = {column["name"]: column for column in report["columns"]}
    assert columns["day"]["min"].startswith("2024-01-01")
    strongest = report["top_associations"][0]
    assert {strongest["left_column_name"], strongest["right_column_name"]} == {"kind", "code"}
    assert strongest["cramer_v"] == pytest.approx(1)


def test_a_sample_is_spread_over_all_files_and_always_the_same(toy: Project) -> None:
    write_raw(toy.root, toy_rows(4000, seed=1), "more.csv")
    (first, rows), (second, _) = read_sample(toy, 500), read_sample(toy, 500)
    assert first.equals(second)
    assert rows == 4400
    assert 400 < first.height < 600
    from_more = first["note"].is_in([f"line {number}" for number in range(400, 4000)]).mean()
    assert from_more == pytest.approx(3600 / 4400, abs=0.1)


def test_files_without_rows_are_described_and_a_missing_file_leaves_the_former_page(toy: Project) -> None:
    write_raw(toy.root, [])
    former = Page(explore_data(toy))
    assert "The dataframe is empty." in former.texts
    (toy.raw / "rows.csv").unlink()
    with pytest.raises(ProjectError, match="put one there"):
        explore_data(toy)
    assert (toy.reports / "data_profile.html").read_text(encoding="utf-8") == former.source


def test_a_regression_shows_the_middle_half_of_the_target(toy: Project) -> None:
    page = Page(explore_data(change_config(toy, "schema", task="regression", target="age")))
    assert page.source.count('class="track spread"') >= 8 + 3 + 2


@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_association_is_1_for_a_copy_about_0_for_noise_and_undefined_for_a_constant(target: str) -> None:
    generator = np.random.default_rng(0)
    names = pl.Series([f"n{place}" for place in range(2000)])
    codes, noise = (pl.Series(generator.integers(0, most, 2000)) for most in (5, 300))
    truth = codes.cast(pl.String) if target == "classes" else codes.cast(pl.Float64)
    dates = (codes * 86_400_000_000).cast(pl.Datetime("us"))
    columns = {
        "copy": codes * 3,
        "dates": dates,
        "noise": noise.cast(pl.String),
        "constant": codes * 0,
        "names": names,
    }
    found = measure_associations(pl.DataFrame(columns), truth)
    assert found["copy"] == found["dates"] == pytest.approx(1, abs=0.001)
    assert found["constant"] is None
    assert found["names"] is None
    assert (found["noise"] or 0) < 0.2


def test_cramers_v_is_that_of_a_table_worked_out_by_hand() -> None:
    # Phi squared from the four cells, less 1/99; two categories each, less 1/99 (Bergsma, 2013).
    left, right = (pl.Series(np.repeat(codes, [36, 14, 14, 36])) for codes in (["a", "a", "b", "b"], list("abab")))
    square = 100 * (36 * 36 - 14 * 14) ** 2 / (50**4) / 100
    found = measure_associations(left.to_frame("left"), right)["left"]
    assert found == pytest.approx(((square - 1 / 99) / (1 - 1 / 99)) ** 0.5)
