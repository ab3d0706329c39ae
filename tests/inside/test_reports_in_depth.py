"""What `evaluate` leaves in `reports/`, and the card."""

import re

import numpy as np
import polars as pl
import pytest
from demo_project.config import Project
from demo_project.plots import plot_calibration, plot_gains, plot_ranking

from .test_reports import MARKUP, PREDICTIONS, _read_page, hostile  # noqa: F401


def test_with_a_damaged_latest_the_page_is_written_escapes_what_it_shows_and_shows_nothing_sensitive(
    hostile: Project,
) -> None:
    page = _read_page(hostile)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search("<script|<b>|<i>|hush[0-9]", page)
    assert "secret" not in pl.read_csv(hostile.reports / PREDICTIONS).columns


def test_the_page_asks_the_network_for_nothing(trained: Project) -> None:
    page = _read_page(trained)
    assert set(re.findall(r"(?:src|href)=.(\w+:)", page)) == {"data:"}
    assert not re.search("https?:|@import|url\\(", page)
    assert page.count("<img ") == len(list(trained.figures.glob("*.png")))


def test_calibration_has_bins_of_equal_counts_and_keeps_equal_probabilities_together() -> None:
    given = np.concatenate([np.linspace(0, 0.5, 80), np.full(40, 0.9)])
    truth = (given > 0.25).astype(int)
    curve, counts = plot_calibration(truth, np.column_stack([1 - given, given]), ["no", "yes"]).axes
    assert [line.get_label() for line in curve.get_lines()] == ["perfect", "yes"]
    heights = [bar[1][1] - bar[0][1] for bar in counts.collections[0].get_segments()]  # type: ignore[attr-defined]
    assert heights == [12] * 6 + [8, 40]


@pytest.mark.parametrize(("labels", "drawn"), [(2, 1), (4, 4), (30, 6)])
def test_of_two_labels_one_is_drawn_and_of_many_the_most_frequent(labels: int, drawn: int) -> None:
    generator = np.random.default_rng(0)
    truth, probabilities = generator.integers(0, labels, 500), generator.dirichlet(np.ones(labels), 500)
    curve = plot_calibration(truth, probabilities, [f"label {place}" for place in range(labels)]).axes[0]
    assert len(curve.get_lines()) == 1 + drawn


def test_the_threshold_that_decides_is_marked_and_gains_count_the_likeliest_rows() -> None:
    given = np.linspace(0, 1, 100)
    truth, probabilities = (given > 0.7).astype(int), np.column_stack([1 - given, given])
    roc, curves = plot_ranking(truth, probabilities, ["no", "yes"], weights=(0.2, 0.8)).axes
    assert [line.get_label() for line in curves.get_lines()] == [
        "precision, yes",
        "recall, yes",
        "decides: 0.2",
    ]
    assert roc.get_lines()[-1].get_label() == "as decided"
    _, gains = plot_gains(truth, probabilities, ["no", "yes"]).axes[0].get_lines()
    assert np.asarray(gains.get_ydata())[[0, 1, 3, 10]] == pytest.approx([0, 1 / 3, 1, 1])
