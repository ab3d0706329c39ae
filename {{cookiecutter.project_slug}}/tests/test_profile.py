"""What `explore` says of a table: statistics, warnings, and a page that nothing in the data can break."""

from html.parser import HTMLParser

import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.data import exploration
from {{ cookiecutter.__package }}.data.exploration import (
    Exploration,
    explore_data,
    read_sample,
)

from .toys import TOY_HEADER, change_config, toy_rows, write_raw

TOY_ROWS = toy_rows(400)
MOSTLY = [line[0] if place % 12 else "b" for place, line in enumerate(TOY_ROWS)]
ABSENT = [f"t{place}" if line < "c" else "" for place, line in enumerate(TOY_ROWS)]
HALVES = ["0.5" if line < "c" else "" for line in TOY_ROWS]
YEARS = ["2020" if line < "c" else "2021" for line in TOY_ROWS]


class Page(HTMLParser):
    """The elements and texts of a page, and every address that it would fetch."""

    def __init__(self, exploration: Exploration) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.source = exploration.page.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag != "a":
            self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def _findings(project: Project) -> str:
    frame, _ = read_sample(project)
    statistics = exploration.describe_columns(project.schema, frame)
    return "\n".join(exploration.find_suspicious(statistics))


def _with_columns(project: Project, **columns: tuple[dict[str, object], list[str]]) -> Project:
    """The toy with more columns: settings and values, which are repeated as often as needed."""
    values = [[found[place % len(found)] for _, found in columns.values()] for place in range(400)]
    lines = [",".join([line, *more]) for line, more in zip(TOY_ROWS, values, strict=True)]
    write_raw(project.root, lines, header=",".join([TOY_HEADER, *columns]))
    known = {name: column.model_dump(exclude_defaults=True) for name, column in project.schema.columns.items()}
    return change_config(project, "schema", columns=known | {name: column for name, (column, _) in columns.items()})


def test_each_column_of_this_project_is_described(trained: Project) -> None:
    page = Page(explore_data(trained))
    table = pl.read_csv(trained.reports / "tables" / "data_profile.csv")
    assert table["column"].to_list() == list(trained.schema.columns)
    assert set(trained.schema.columns) <= set(page.texts)


@pytest.mark.parametrize("sensitive", [True, False])
def test_of_a_sensitive_column_only_name_type_and_missing_share_are_told(sensitive: bool, toy: Project) -> None:
    words = {"type": "category", "categories": ["hush-a", "hush-b"], "nullable": True, "sensitive": sensitive}
    wages = {"type": "number", "sensitive": sensitive}
    project = _with_columns(toy, word=(words, ["hush-a", "hush-b", "hush-b", ""]), wage=(wages, ["271828", "314159"]))
    columns = {name: column.model_dump(exclude_defaults=True) for name, column in project.schema.columns.items()}
    columns["kind"] |= {"sensitive": sensitive}
    explored = explore_data(change_config(project, "schema", columns=columns))
    page, table = Page(explored), (project.reports / "tables" / "data_profile.csv").read_text(encoding="utf-8")
    for secret in ("hush-a", "271828", ">big<"):
        assert (secret in "\n".join([page.source, table, *explored.findings])) is not sensitive
    assert {"word", "wage", "kind"} <= set(page.texts)
    assert ("\nword,category,feature,0.25,,\n" in table) is sensitive


@pytest.mark.parametrize(
    ("finding", "settings", "values"),
    [
        ("extra: It alone tells the", {"type": "integer"}, ["49"[line < "c"] for line in TOY_ROWS]),
        ("extra: It alone tells the", {"type": "number", "nullable": True}, HALVES),
        ("extra: It alone tells the", {"type": "text", "nullable": True}, ABSENT),
        ("extra: It alone tells the", {"type": "category"}, MOSTLY),
        ("extra: It alone tells the", {"type": "timestamp", "format": "%Y"}, YEARS),
        ("extra: It has one value in all rows", {"type": "integer"}, ["7"]),
        ("extra: 100.0% of its values", {"type": "number", "nullable": True}, [""]),
        ("extra: 95.0% of its values", {"type": "number", "nullable": True}, ["1.5", "2.5", *["many"] * 38]),
    ],
)
def test_only_a_suspicious_column_is_named(
    finding: str, settings: dict[str, object], values: list[str], toy: Project
) -> None:
    assert _findings(toy) == ""
    assert finding in _findings(_with_columns(toy, extra=(settings, values)))
