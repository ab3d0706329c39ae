"""What `explore` says of a table: statistics, warnings, and a page that nothing in the data can break."""

from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data.exploration import Exploration, explore_data, read_sample
from {{ cookiecutter.__package }}.data.profile import (
    FindingKind,
    describe_column,
    find_suspicious,
    measure_association,
)
from {{ cookiecutter.__package }}.errors import ProjectError

from .toys import TOY_HEADER, change_config, make_toy, toy_rows, write_raw

NASTY = '</style></template><script>alert(\'"&${x}49")</script>'


class Page(HTMLParser):
    """The elements and texts of a page, and every address that it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag != "a":
            self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def _page(project: Project) -> str:
    return explore_data(project).page.read_text(encoding="utf-8")


def _findings(project: Project) -> set[tuple[FindingKind, str | None]]:
    schema, sample = project.schema, read_sample(project)
    columns = [describe_column(schema, sample, name) for name in schema.columns]
    return {(finding.kind, finding.column) for finding in find_suspicious(schema, sample, columns)}


def _with_columns(project: Project, **columns: tuple[dict[str, object], list[str]]) -> Project:
    """The toy with more columns: settings and values, which are repeated as often as needed."""
    lines = [
        ",".join([line, *(values[place % len(values)] for _, values in columns.values())])
        for place, line in enumerate(toy_rows(400))
    ]
    write_raw(project.root, lines, header=",".join([TOY_HEADER, *columns]))
    known = {name: column.model_dump(exclude_defaults=True) for name, column in project.schema.columns.items()}
    return change_config(project, "schema", columns=known | {name: column for name, (column, _) in columns.items()})


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Exploration:
    """A table with a date, an identifier, and a category that tells the target."""
    toy = make_toy(tmp_path_factory.mktemp("varied"))
    date: dict[str, object] = {"type": "timestamp", "format": "%Y-%m-%d", "role": "ignored"}
    project = _with_columns(
        toy,
        day=(date, [f"2024-01-{day:02}" for day in range(1, 29)]),
        number=({"type": "integer", "role": "identifier"}, [str(number) for number in range(400)]),
        code=({"type": "category", "categories": ["b", "s"]}, [line[0] for line in toy_rows(400)]),
    )
    return explore_data(project)


def test_each_column_of_the_schema_is_described(trained: Project) -> None:
    page = Page(_page(trained))
    table = pl.read_csv(trained.reports / "tables" / "data_profile.csv")
    assert table["column"].to_list() == list(trained.schema.columns)
    assert set(trained.schema.columns) <= set(page.texts)


def test_the_page_asks_the_network_for_nothing(varied: Exploration) -> None:
    text = varied.page.read_text(encoding="utf-8")
    assert [address for address in Page(text).fetched if not address.startswith(("#", "data:"))] == []
    assert "default-src 'none'" in text


def test_nothing_in_the_data_becomes_markup(varied: Exploration, toy: Project) -> None:
    plain = Page(varied.page.read_text(encoding="utf-8"))
    other = {"red": NASTY, "green": "'\"&", "blue": "<b>"}
    frame = pl.read_csv(toy.raw / "rows.csv", infer_schema=False)
    (toy.raw / "rows.csv").unlink()
    frame.with_columns(pl.col("colour").replace(other)).rename({"colour": NASTY}).write_parquet(toy.raw / "a.parquet")
    columns = {name: column.model_dump() for name, column in toy.schema.columns.items() if name != "colour"}
    columns[NASTY] = {"type": "category", "categories": [*other.values(), "none"]}
    page = Page(_page(change_config(toy, "schema", columns=columns)))
    assert page.elements.count("script") == plain.elements.count("script") == 2
    assert set(page.elements) <= set(plain.elements)
    assert page.texts.count(NASTY) > 2


@pytest.mark.parametrize("sensitive", [True, False])
def test_of_a_sensitive_column_only_name_type_and_missing_share_are_told(sensitive: bool, toy: Project) -> None:
    words = {"type": "category", "categories": ["hush-a", "hush-b"], "nullable": True, "sensitive": sensitive}
    wages = {"type": "number", "sensitive": sensitive}
    project = _with_columns(toy, word=(words, ["hush-a", "hush-b", "hush-b", ""]), wage=(wages, ["271828", "314159"]))
    columns = {name: column.model_dump(exclude_defaults=True) for name, column in project.schema.columns.items()}
    columns["kind"] |= {"sensitive": sensitive, "categories": ["big", "small", "never"]}
    exploration = explore_data(change_config(project, "schema", columns=columns))
    table = (project.reports / "tables" / "data_profile.csv").read_text(encoding="utf-8")
    told = exploration.page.read_text(encoding="utf-8") + table + "".join(map(str, exploration.findings))
    for secret in ("hush-a", "271828", ">big<", "'never'"):
        assert (secret in told) is not sensitive
    assert {"word", "wage", "kind", "25.0%"} <= set(Page(told).texts)
    assert ("\nword,category,feature,400,0.25,,,,,,,,,\n" in table) is sensitive


def test_dates_are_dates(varied: Exploration) -> None:
    day = next(column for column in varied.report.dict()["columns"] if column["name"] == "day")
    assert day["min"].startswith("2024-01-01")


def test_what_hardly_repeats_is_listed_but_not_drawn(varied: Exploration) -> None:
    assert not {"number", "note"} & {column["name"] for column in varied.report.dict()["columns"]}
    assert {"number", "note"} <= set(Page(varied.page.read_text(encoding="utf-8")).texts)


def test_categories_are_associated_too(varied: Exploration) -> None:
    strongest = varied.report.dict()["top_associations"][0]
    assert {strongest["left_column_name"], strongest["right_column_name"]} == {"kind", "code"}
    assert strongest["cramer_v"] == pytest.approx(1)


def test_a_missing_file_leaves_the_former_page(toy: Project) -> None:
    page = toy.reports / "data_profile.html"
    page.parent.mkdir()
    page.write_text("former")
    (toy.raw / "rows.csv").unlink()
    with pytest.raises(ProjectError, match="put one there"):
        explore_data(toy)
    assert page.read_text() == "former"


def test_what_is_missing_is_told_from_what_cannot_be_read(toy: Project) -> None:
    write_raw(toy.root, ["big,1,,red,true,x", "big,2,many,red,true,x", "small,3,4,pink,false,x"])
    sample = read_sample(toy)
    assert (sample.missing["age"], sample.broken["age", "type"]) == (1, 1)
    assert (sample.missing["colour"], sample.broken["colour", "category"]) == (0, 1)


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
    assert ("duplicates", None) in _findings(toy)


def test_files_without_rows_are_described_as_empty(toy: Project) -> None:
    write_raw(toy.root, [])
    assert "The dataframe is empty." in Page(_page(toy)).texts


def test_a_good_table_gives_no_warning(toy: Project) -> None:
    assert _findings(toy) == set()


@pytest.mark.parametrize(
    ("kind", "settings", "values"),
    [
        ("leak", {"type": "integer"}, ["9" if line.startswith("big") else "4" for line in toy_rows(400)]),
        ("leak", {"type": "number", "nullable": True}, ["0.5" if line < "c" else "" for line in toy_rows(400)]),
        ("twins", {"type": "number"}, [str(2 * float(line.split(",")[1])) for line in toy_rows(400)]),
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
    found = _findings(_with_columns(toy, extra=(settings, values)))
    assert (kind, "size" if kind == "twins" else "extra") in found


def test_a_class_that_hardly_occurs_is_named(toy: Project) -> None:
    lines = [line for line in toy_rows(400) if line.startswith("big")]
    write_raw(toy.root, [*lines, *(line.replace("big", "small") for line in lines[:3])])
    assert {("imbalance", "kind"), ("rare_class", "kind")} <= _findings(toy)


def test_a_regression_shows_the_middle_half_of_the_target(toy: Project) -> None:
    page = _page(change_config(toy, "schema", task="regression", target="age"))
    assert page.count('class="track spread"') >= 8 + 3 + 2


@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_association_is_1_for_a_copy_about_0_for_noise_and_undefined_for_a_constant(target: str) -> None:
    generator = np.random.default_rng(0)
    codes, noise = (pl.Series(generator.integers(0, most, 2000)) for most in (5, 300))
    truth = codes.cast(pl.String) if target == "classes" else codes.cast(pl.Float64)
    assert measure_association(codes * 3, truth) == pytest.approx(1)
    assert (measure_association(noise.cast(pl.String), truth) or 0) < 0.2
    assert measure_association(codes * 0, truth) is None


def test_cramers_v_is_that_of_a_table_worked_out_by_hand() -> None:
    # Phi squared from the four cells, less 1/99; two categories each, less 1/99 (Bergsma, 2013).
    left, right = (pl.Series(np.repeat(codes, [36, 14, 14, 36])) for codes in (["a", "a", "b", "b"], list("abab")))
    square = 100 * (36 * 36 - 14 * 14) ** 2 / (50**4) / 100
    assert measure_association(left, right) == pytest.approx(((square - 1 / 99) / (1 - 1 / 99)) ** 0.5)
