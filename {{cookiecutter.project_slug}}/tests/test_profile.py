"""What `explore` says of a table: statistics, warnings, and a page that nothing in the data can break."""

import math
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.exploration import explore_data
from {{ cookiecutter.__package }}.data.profiling.associations import (
    correlate,
    correlation_ratio,
    cramers_v,
)
from {{ cookiecutter.__package }}.data.profiling.findings import FindingKind, find_suspicious
from {{ cookiecutter.__package }}.data.profiling.markup import element
from {{ cookiecutter.__package }}.data.profiling.page import write_page
from {{ cookiecutter.__package }}.data.profiling.sample import read_sample
from {{ cookiecutter.__package }}.data.profiling.statistics import TableProfile, profile_table
from {{ cookiecutter.__package }}.errors import ProjectError

from .toys import TOY_HEADER, change_config, toy_rows, write_raw

NASTY = '</style><script>alert(\'"&${x}")</script>'


class Page(HTMLParser):
    """The elements and texts of a page, and every address that it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _profile(project: Project) -> TableProfile:
    return profile_table(project.schema, read_sample(project))


def _kinds(project: Project, column: str | None) -> set[FindingKind]:
    return {finding.kind for finding in find_suspicious(_profile(project)) if finding.column == column}


def _with_column(project: Project, name: str, settings: dict[str, object], values: list[str]) -> Project:
    """The toy with one more column; `values` are repeated as often as needed."""
    lines = [f"{line},{values[place % len(values)]}" for place, line in enumerate(toy_rows(400))]
    write_raw(project.root, lines, header=f"{TOY_HEADER},{name}")
    columns = {name: column.model_dump(exclude_defaults=True) for name, column in project.schema.columns.items()}
    return change_config(project, "schema", columns={**columns, name: settings})


def test_each_column_of_the_schema_is_described(trained: Project) -> None:
    exploration = explore_data(trained)
    assert [column.name for column in exploration.profile.columns] == list(trained.schema.columns)
    table = pl.read_csv(trained.reports / "tables" / "data_profile.csv")
    assert table["column"].to_list() == list(trained.schema.columns)
    page = Page(exploration.page.read_text(encoding="utf-8"))
    assert set(trained.schema.columns) <= set(page.texts)


def test_the_page_asks_the_network_for_nothing_and_runs_no_script(trained: Project) -> None:
    page = Page(explore_data(trained).page.read_text(encoding="utf-8"))
    assert [address for address in page.addresses if not address.startswith(("#", "data:"))] == []
    assert "script" not in page.elements
    assert "svg" in page.elements


def test_nothing_in_the_data_becomes_markup(toy: Project) -> None:
    plain = Page(write_page(_profile(toy), []))
    other = {"red": NASTY, "green": "'\"&", "blue": "<b>"}
    lines = [line.replace(colour, name) for line in toy_rows(400) for colour, name in other.items() if colour in line]
    frame = pl.DataFrame([line.split(",") for line in lines], schema=TOY_HEADER.split(","), orient="row")
    (toy.raw / "rows.csv").unlink()
    frame.rename({"colour": NASTY}).write_parquet(toy.raw / "rows.parquet")
    columns = {name: column.model_dump() for name, column in toy.schema.columns.items()}
    columns[NASTY] = {"type": "category", "categories": list(other.values()), "description": NASTY}
    del columns["colour"]
    nasty = change_config(toy, "schema", columns=columns)
    profile = _profile(nasty)
    page = Page(write_page(profile, find_suspicious(profile)))
    assert set(page.elements) <= {*plain.elements, "details", "summary"}
    assert page.texts.count(NASTY) > 3


def test_the_same_table_gives_the_same_page(toy: Project) -> None:
    first = explore_data(toy).page.read_bytes()
    assert explore_data(toy).page.read_bytes() == first


def test_a_missing_file_leaves_the_former_page(toy: Project) -> None:
    page = explore_data(toy).page
    before = page.read_bytes()
    (toy.raw / "rows.csv").unlink()
    with pytest.raises(ProjectError, match="put one there"):
        explore_data(toy)
    assert page.read_bytes() == before


def test_what_is_missing_is_told_from_what_cannot_be_read(toy: Project) -> None:
    write_raw(toy.root, ["big,1,,red,true,x", "big,2,many,red,true,x", "small,3,4,pink,false,x"])
    columns = {column.name: column for column in _profile(toy).columns}
    assert (columns["age"].missing, columns["age"].unreadable) == (1, 1)
    assert (columns["colour"].missing, columns["colour"].unreadable) == (0, 1)


def test_a_sample_is_spread_over_all_files_and_always_the_same(toy: Project) -> None:
    write_raw(toy.root, toy_rows(3000, seed=1), "more.csv")
    first, second = read_sample(toy, 500), read_sample(toy, 500)
    assert first.frame.equals(second.frame)
    assert first.rows == 3400
    assert 400 < first.frame.height < 600
    from_more = first.frame["note"].is_in([f"line {number}" for number in range(400, 3000)]).mean()
    assert from_more == pytest.approx(2600 / 3400, abs=0.1)


def test_repeated_rows_are_found_in_a_sample_too(toy: Project) -> None:
    lines = toy_rows(3000)
    write_raw(toy.root, lines + lines[:1000])
    assert read_sample(toy).duplicate_share == pytest.approx(0.25)
    assert read_sample(toy, 1000).duplicate_share == pytest.approx(0.25, abs=0.07)


def test_files_without_rows_are_described_as_empty(toy: Project) -> None:
    write_raw(toy.root, [])
    profile = _profile(toy)
    assert profile.rows == 0
    assert "No value in any row." in Page(write_page(profile, find_suspicious(profile))).texts


def test_a_good_table_gives_no_warning(toy: Project) -> None:
    assert find_suspicious(_profile(toy)) == []


def test_a_column_that_leaks_the_target_is_named(toy: Project) -> None:
    codes = ["9" if line.startswith("big") else "4" for line in toy_rows(400)]
    assert "leak" in _kinds(_with_column(toy, "code", {"type": "integer"}, codes), "code")


def test_a_column_that_is_there_for_one_class_alone_is_named(toy: Project) -> None:
    codes = [f"0.{place}" if line.startswith("big") else "" for place, line in enumerate(toy_rows(400))]
    assert "leak" in _kinds(_with_column(toy, "code", {"type": "number", "nullable": True}, codes), "code")


@pytest.mark.parametrize(
    ("kind", "settings", "values"),
    [
        ("constant", {"type": "integer"}, ["7"]),
        ("missing", {"type": "number", "nullable": True}, [""]),
        ("missing", {"type": "number", "nullable": True}, ["1.5", "2.5", *[""] * 38]),
        ("schema", {"type": "number", "maximum": 1}, ["0.5", "0.7", "1.5"]),
        ("cardinality", {"type": "category", "categories": [f"c{n}" for n in range(80)]}, [f"c{n}" for n in range(80)]),
    ],
)
def test_a_suspicious_column_is_named(
    kind: FindingKind, settings: dict[str, object], values: list[str], toy: Project
) -> None:
    assert kind in _kinds(_with_column(toy, "extra", settings, values), "extra")


def test_columns_that_tell_the_same_are_named(toy: Project) -> None:
    sizes = [line.split(",")[1] for line in toy_rows(400)]
    assert "twins" in _kinds(_with_column(toy, "twice", {"type": "number"}, sizes), "size")


def test_repeated_rows_are_named(toy: Project) -> None:
    write_raw(toy.root, toy_rows(100) * 2)
    assert "duplicates" in _kinds(toy, None)


def test_a_class_that_hardly_occurs_is_named(toy: Project) -> None:
    lines = [line for line in toy_rows(400) if line.startswith("big")]
    write_raw(toy.root, [*lines, *(line.replace("big", "small") for line in lines[:3])])
    assert {"imbalance", "rare_class"} <= _kinds(toy, "kind")


def test_a_regression_shows_the_target_by_feature(toy: Project) -> None:
    project = change_config(toy, "schema", task="regression", target="age")
    profile = _profile(project)
    size = next(column for column in profile.columns if column.name == "size")
    assert len(size.by_target) == 8
    for group in size.by_target:
        lower, median, upper = group.values
        assert lower <= median <= upper
    assert sum(group.rows for group in size.by_target) == 400 - profile.target.missing


def test_correlation_is_that_of_numpy_on_the_rows_that_a_pair_shares() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(500, 3)) @ generator.normal(size=(3, 3)) + 1e6
    values[:100, 0] = math.nan
    values[400:, 1] = math.nan
    found = correlate(values)
    for left, right, shared in ((0, 1, values[100:400]), (0, 2, values[100:]), (1, 2, values[:400])):
        by_numpy = np.asarray(np.corrcoef(shared[:, left], shared[:, right]))[0, 1]
        assert found[left, right] == pytest.approx(by_numpy, abs=1e-9)


def test_correlation_with_a_constant_is_not_defined() -> None:
    values = np.column_stack([np.arange(100.0), np.full(100, 0.1)])
    assert math.isnan(correlate(values)[0, 1])


def test_cramers_v_is_1_for_a_copy_and_about_0_for_noise() -> None:
    generator = np.random.default_rng(0)
    codes, noise = generator.integers(0, 5, 2000), generator.integers(0, 300, 2000)
    assert cramers_v(codes * 3, codes) == pytest.approx(1)
    assert cramers_v(noise, codes) < 0.1
    assert math.isnan(cramers_v(np.zeros(2000, dtype=np.int64), codes))


def test_cramers_v_is_that_of_a_table_worked_out_by_hand() -> None:
    # Phi squared from the four cells, less 1/99; two categories each, less 1/99 (Bergsma, 2013).
    left = np.repeat([0, 0, 1, 1], [36, 14, 14, 36])
    right = np.repeat([0, 1, 0, 1], [36, 14, 14, 36])
    square = 100 * (36 * 36 - 14 * 14) ** 2 / (50**4) / 100
    expected = math.sqrt((square - 1 / 99) / (1 - 1 / 99))
    assert cramers_v(left, right) == pytest.approx(expected)


def test_the_correlation_ratio_is_1_for_a_copy_and_about_0_for_noise() -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 200, 2000)
    assert correlation_ratio(groups, groups.astype(np.float64)) == pytest.approx(1)
    assert correlation_ratio(groups, generator.normal(size=2000)) < 0.2
    assert math.isnan(correlation_ratio(np.zeros(10, dtype=np.int64), np.arange(10.0)))


def test_an_element_escapes_its_texts_and_attributes_but_not_its_elements() -> None:
    inner = element("b", "<&>", title='"')
    assert element("p", inner, "<i>") == '<p><b title="&quot;">&lt;&amp;&gt;</b>&lt;i&gt;</p>'
