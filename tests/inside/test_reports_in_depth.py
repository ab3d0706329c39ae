"""What `evaluate` leaves in `reports/`, and the card."""

import re

import numpy as np
import polars as pl
import pytest
from demo_project.config import Project
from demo_project.plots import plot_calibration

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


@pytest.mark.parametrize(("labels", "drawn"), [(2, 1), (4, 4), (30, 6)])
def test_of_two_labels_one_is_drawn_and_of_many_the_most_frequent(labels: int, drawn: int) -> None:
    generator = np.random.default_rng(0)
    truth, probabilities = generator.integers(0, labels, 500), generator.dirichlet(np.ones(labels), 500)
    curve = plot_calibration(truth, probabilities, [f"label {place}" for place in range(labels)]).axes[0]
    assert len(curve.get_lines()) == 1 + drawn
