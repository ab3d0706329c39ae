"""The profile as one HTML file that asks the network for nothing and runs no script."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template

import numpy as np

from .findings import TITLES, Finding
from .markup import Markup, element, join
from .pictures import (
    draw_bars,
    draw_counts,
    draw_histogram,
    draw_legend,
    draw_matrix,
    draw_shares,
    draw_spreads,
)
from .statistics import ColumnProfile, Correlations, TableProfile, format_number

_TEMPLATE = Path(__file__).with_name("page.html")
_MOST_IN_MATRIX = 25
_MOST_PAIRS = 15
_MOST_BARS = 30
_MOST_OPEN = 6
_SHOWN_DIGITS = 12


def write_page(profile: TableProfile, findings: Sequence[Finding]) -> str:
    """The whole page; the same profile gives the same text."""
    anchors = {column.name: f"#column-{place}" for place, column in enumerate(profile.columns)}
    content = join(
        _write_overview(profile),
        _write_findings(findings, anchors),
        _write_columns(profile, anchors),
        _write_missing(profile, anchors),
        _write_associations(profile, anchors),
        _write_correlations(profile.correlations),
        _write_details(profile, anchors),
    )
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(content=content)


def _write_overview(profile: TableProfile) -> Markup:
    cells = sum(column.rows for column in profile.columns)
    missing = sum(column.missing for column in profile.columns)
    sampled = "all" if profile.sampled == profile.rows else f"{profile.sampled:,}"
    facts = {
        "Rows": f"{profile.rows:,}",
        "Rows read": sampled,
        "Columns": str(len(profile.columns)),
        "Task": profile.schema.task,
        "Target": profile.schema.target,
        "Missing values": f"{missing / max(1, cells):.2%}",
        "Repeated rows": f"{profile.duplicate_share:.2%}",
    }
    described = [element("div", element("dt", name), element("dd", value)) for name, value in facts.items()]
    sections = ("Warnings", "Columns", "Missing values", "Target by feature", "Correlations", "Column by column")
    links = [element("a", section, href=f"#{_anchor(section)}") for section in sections]
    files = _write_table(
        ["File", "Rows", "Bytes", "sha256"],
        [
            [
                element("code", file.name),
                f"{file.rows:,}",
                f"{file.bytes:,}",
                element("code", file.sha256[:_SHOWN_DIGITS]),
            ]
            for file in profile.files
        ],
        numbers=(1, 2),
    )
    return join(
        element("h1", "Data profile"),
        element("p", "The raw rows as they came, before any is rejected.", class_="soft"),
        element("nav", *links),
        element("dl", *described, class_="facts"),
        files,
    )


def _write_findings(findings: Sequence[Finding], anchors: dict[str, str]) -> Markup:
    if not findings:
        return join(_heading("Warnings"), element("p", "None."))
    blocks = []
    for kind, title in TITLES.items():
        lines = [
            element("li", _link_column(finding, anchors), finding.message)
            for finding in findings
            if finding.kind == kind
        ]
        if lines:
            summary = element("summary", title, element("span", f" {len(lines)}", class_="soft"))
            state = {"open": "open"} if len(lines) <= _MOST_OPEN else {}
            blocks.append(element("details", summary, element("ul", *lines), class_="warning", **state))
    return join(_heading("Warnings"), *blocks)


def _link_column(finding: Finding, anchors: dict[str, str]) -> Markup:
    if finding.column is None:
        return join()
    return join(element("a", element("bdi", finding.column), href=anchors[finding.column]), ": ")


def _write_columns(profile: TableProfile, anchors: dict[str, str]) -> Markup:
    rows = [
        [
            element("a", element("bdi", column.name), href=anchors[column.name]),
            column.column.type,
            column.role,
            f"{column.missing_share:.1%}",
            f"{column.distinct:,}",
            "" if math.isnan(column.association) else f"{column.association:.2f}",
            _show(column.numbers.mean if column.numbers else math.nan),
            _show(column.numbers.minimum if column.numbers else math.nan),
            _show(column.numbers.maximum if column.numbers else math.nan),
        ]
        for column in profile.columns
    ]
    names = ["Column", "Type", "Role", "Missing", "Distinct", "Association", "Mean", "Minimum", "Maximum"]
    return join(_heading("Columns"), _write_table(names, rows, numbers=range(3, 9)))


def _write_missing(profile: TableProfile, anchors: dict[str, str]) -> Markup:
    lacking = sorted((column for column in profile.columns if column.missing), key=lambda column: -column.missing)
    if not lacking:
        return join(_heading("Missing values"), element("p", "None."))
    bars = [(column.name, column.missing_share, f"{column.missing_share:.1%}") for column in lacking]
    return join(_heading("Missing values"), _draw_first_bars(bars, anchors))


def _draw_first_bars(bars: Sequence[tuple[str, float, str]], anchors: dict[str, str]) -> Markup:
    picture = draw_bars(bars[:_MOST_BARS], [anchors[name] for name, _, _ in bars[:_MOST_BARS]])
    left_out = len(bars) - _MOST_BARS
    if left_out <= 0:
        return picture
    note = element("p", f"and {left_out} columns with less; the table of columns has them all", class_="soft")
    return join(picture, note)


def _write_associations(profile: TableProfile, anchors: dict[str, str]) -> Markup:
    measured = [column for column in profile.columns if not math.isnan(column.association)]
    measured.sort(key=lambda column: -column.association)
    if profile.labels:
        how = (
            "How much each feature alone tells of the class: Cramér's V with Bergsma's correction (2013), 0 nothing, "
            "1 everything."
        )
    else:
        how = (
            "How much each feature alone tells of the target: the correlation ratio with Kelley's correction (1935), "
            "or for a number Pearson's correlation without its sign where that is larger; 0 nothing, 1 everything."
        )
    how += " Numbers are cut into up to 32 groups of equal size; missing values are a group of their own."
    bars = [(column.name, column.association, f"{column.association:.2f}") for column in measured]
    return join(
        _heading("Target by feature"),
        element("p", how, class_="soft"),
        _draw_first_bars(bars, anchors) if bars else element("p", "Not defined."),
    )


def _write_correlations(correlations: Correlations) -> Markup:
    heading = _heading("Correlations")
    if not correlations.names:
        return join(heading, element("p", "There are fewer than two numeric columns that vary."))
    how = "Pearson's correlation of numeric columns, each pair on the rows in which both are present."
    shown = _choose_for_matrix(correlations)
    left_out = len(correlations.names) - len(shown)
    if left_out:
        how += f" The {left_out} columns that are least correlated are not in the picture."
    pairs = [
        [join(element("bdi", left), " and ", element("bdi", right)), f"{value:.3f}"]
        for left, right, value in correlations.strongest(_MOST_PAIRS)
    ]
    names = [correlations.names[place] for place in shown]
    return join(
        heading,
        element("p", how, class_="soft"),
        draw_matrix(names, correlations.matrix[np.ix_(shown, shown)]),
        element("h4", "Strongest pairs"),
        _write_table(["Columns", "Correlation"], pairs, numbers=(1,)),
    )


def _choose_for_matrix(correlations: Correlations) -> list[int]:
    strengths = np.abs(np.nan_to_num(correlations.matrix))
    np.fill_diagonal(strengths, 0)
    order = np.argsort(-strengths.max(axis=0), kind="stable")
    return sorted(int(place) for place in order[:_MOST_IN_MATRIX])


def _write_details(profile: TableProfile, anchors: dict[str, str]) -> Markup:
    cards = [_write_card(profile, column, anchors[column.name].removeprefix("#")) for column in profile.columns]
    legend = draw_legend(profile.labels) if profile.labels else join()
    return join(_heading("Column by column"), legend, element("div", *cards, class_="cards"))


def _write_card(profile: TableProfile, column: ColumnProfile, anchor: str) -> Markup:
    header = element(
        "header",
        element("h3", element("bdi", column.name)),
        element("span", column.column.type, class_="tag"),
        element("span", column.role, class_=f"tag {column.role}"),
    )
    description = element("p", column.column.description, class_="soft") if column.column.description else join()
    if column.histogram:
        picture = draw_histogram(column.histogram, column.name)
    elif column.most_common:
        picture = draw_counts(column.most_common, column.rows, column.distinct)
    else:
        picture = element("p", "No value in any row.", class_="soft")
    values = {
        "Missing": f"{column.missing:,} ({column.missing_share:.1%})",
        "Distinct": f"{column.distinct:,}",
    }
    if column.unreadable:
        values["Unreadable"] = f"{column.unreadable:,}"
    if not math.isnan(column.association):
        values["Association"] = f"{column.association:.3f}"
    if column.numbers:
        values |= {name: format_number(value) for name, value in _name_numbers(column).items()}
    described = [element("div", element("dt", name), element("dd", value)) for name, value in values.items()]
    return element(
        "article",
        header,
        description,
        picture,
        element("dl", *described, class_="values"),
        _write_target_groups(profile, column),
        class_="card",
        id=anchor,
    )


def _name_numbers(column: ColumnProfile) -> dict[str, float]:
    shown = {name.replace("_", " ").capitalize(): value for name, value in vars(column.numbers).items()}
    return {"Deviation" if name.startswith("Standard") else name: value for name, value in shown.items()}


def _write_target_groups(profile: TableProfile, column: ColumnProfile) -> Markup:
    if not column.by_target:
        return join()
    if profile.labels:
        title, picture = "Classes, by its value", draw_shares(column.by_target, profile.labels)
    else:
        title = "Middle half and median of the target, by its value"
        low = min(group.values[0] for group in column.by_target)
        high = max(group.values[-1] for group in column.by_target)
        picture = draw_spreads(column.by_target, low, high)
    return join(element("h4", title), picture)


def _write_table(names: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] | range = ()) -> Markup:
    def line(cells: Sequence[str], cell: Callable[..., Markup]) -> Markup:
        return element(
            "tr", *(cell(text, class_="number") if place in numbers else cell(text) for place, text in enumerate(cells))
        )

    head = element("thead", line(names, lambda text, **attributes: element("th", text, scope="col", **attributes)))
    body = element("tbody", *(line(row, lambda text, **attributes: element("td", text, **attributes)) for row in rows))
    return element("div", element("table", head, body), class_="scroll")


def _heading(text: str) -> Markup:
    return element("h2", text, id=_anchor(text))


def _anchor(text: str) -> str:
    return text.lower().replace(" ", "-")


def _show(value: float) -> str:
    return "" if math.isnan(value) else format_number(value)
