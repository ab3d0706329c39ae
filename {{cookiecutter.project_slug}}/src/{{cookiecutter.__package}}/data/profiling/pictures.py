"""Pictures in HTML and SVG alone: they follow the page's width and colours."""

import math
from collections.abc import Sequence

from .associations import Numbers
from .markup import Markup, element, join
from .statistics import Count, Histogram, TargetGroup, format_number

_HEIGHT = 100


def draw_histogram(histogram: Histogram, name: str) -> Markup:
    """Bars for the rows, with the limits of the axis below."""
    highest = max(histogram.counts, default=0) or 1
    bars = [
        element(
            "rect",
            x=place + 0.05,
            y=f"{_HEIGHT - _HEIGHT * count / highest:.2f}",
            width=0.9,
            height=f"{_HEIGHT * count / highest:.2f}",
        )
        for place, count in enumerate(histogram.counts)
    ]
    picture = element(
        "svg",
        *bars,
        class_="histogram",
        viewBox=f"0 0 {len(histogram.counts)} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"Histogram of {name}",
    )
    limits = [element("span", format_number(limit)) for limit in (histogram.low, histogram.high)]
    axis = element("div", *limits, class_="axis")
    if not histogram.outside:
        return join(picture, axis)
    note = f"The outer {histogram.outside:,} rows lie beyond this picture."
    return join(picture, axis, element("p", note, class_="soft"))


def draw_counts(counts: Sequence[Count], rows: int, distinct: int) -> Markup:
    """A bar for each of the most common values, as a share of all rows."""
    bars = draw_bars([(count.value, count.rows / max(1, rows), f"{count.rows:,}") for count in counts])
    if distinct <= len(counts):
        return bars
    return join(bars, element("p", f"and {distinct - len(counts):,} more values", class_="soft"))


def draw_bars(rows: Sequence[tuple[str, float, str]], links: Sequence[str] = ()) -> Markup:
    """A bar for each name, its length from 0 to 1, and what is written beside it."""
    lines = []
    for place, (name, share, written) in enumerate(rows):
        label = element("bdi", name)
        lines.append(
            element(
                "div",
                element("a", label, href=links[place]) if links else element("span", label),
                element("span", element("i", style=f"width:{100 * share:.2f}%"), class_="track"),
                element("span", written, class_="number"),
                class_="bar",
            )
        )
    return element("div", *lines, class_="bars")


def draw_shares(groups: Sequence[TargetGroup], labels: Sequence[str]) -> Markup:
    """The shares of the classes in each group of rows, side by side in one bar."""
    lines = [
        _line(
            group,
            [
                element("i", class_=f"class-{place}", style=f"width:{100 * share:.2f}%", title=f"{label}: {share:.1%}")
                for place, (label, share) in enumerate(zip(labels, group.values, strict=True))
                if share
            ],
            "track shares",
        )
        for group in groups
    ]
    return element("div", *lines, class_="bars")


def draw_spreads(groups: Sequence[TargetGroup], low: float, high: float) -> Markup:
    """The middle half of the target in each group of rows, with its median, on an axis from low to high."""
    width = (high - low) or 1
    lines = []
    for group in groups:
        lower, median, upper = (100 * (value - low) / width for value in group.values)
        described = " / ".join(format_number(value) for value in group.values)
        box = element("i", style=f"left:{lower:.2f}%;width:{max(upper - lower, 0.5):.2f}%", title=described)
        lines.append(_line(group, [box, element("b", style=f"left:{median:.2f}%")], "track spread"))
    axis = element("div", *(element("span", format_number(limit)) for limit in (low, high)), class_="axis inset")
    return join(element("div", *lines, class_="bars"), axis)


def draw_legend(labels: Sequence[str]) -> Markup:
    """Which colour is which class."""
    entries = [
        element("span", element("i", class_=f"class-{place}"), element("bdi", label))
        for place, label in enumerate(labels)
    ]
    return element("p", *entries, class_="legend")


def draw_matrix(names: Sequence[str], matrix: Numbers) -> Markup:
    """Correlations as coloured cells; the columns are numbered as the rows are."""
    numbers = [element("th", str(place), scope="col") for place in range(1, len(names) + 1)]
    lines = [element("tr", element("th", ""), *numbers)]
    for row, name in enumerate(names):
        cells = [_matrix_cell(float(value), f"{name} and {names[column]}") for column, value in enumerate(matrix[row])]
        title = element("th", f"{row + 1} ", element("bdi", name), scope="row", title=name)
        lines.append(element("tr", title, *cells))
    return element("div", element("table", *lines, class_="matrix"), class_="scroll")


def _line(group: TargetGroup, marks: Sequence[Markup], kind: str) -> Markup:
    return element(
        "div",
        element("span", element("bdi", group.value)),
        element("span", *marks, class_=kind),
        element("span", f"{group.rows:,}", class_="number"),
        class_="bar",
    )


def _matrix_cell(value: float, pair: str) -> Markup:
    if math.isnan(value):
        return element("td", "", title=f"{pair}: not defined")
    colour = "--more" if value > 0 else "--less"
    style = f"background:rgb(var({colour}) / {abs(value):.2f})"
    shown = f"{value:.2f}".replace("0.", ".").replace("-.00", ".00")
    return element(
        "td", shown, style=style, title=f"{pair}: {value:.3f}", **({"class_": "strong"} if abs(value) > 0.6 else {})
    )
