"""How columns become features, the same in training, in batches and in the API."""

import numpy as np
import pytest
from demo_project.features import make_clock, plan_features, tell_time
from demo_project.modeling.pieces import PieceRegression
from sklearn.model_selection import KFold

from .test_data_features import ROW, STAY, STAYS, _engineer_stays  # noqa: F401


def test_texts_that_share_words_are_near_each_other_and_a_missing_one_is_nothing() -> None:
    texts = ["a quiet room please", "Please: a  QUIET room", "two dogs, late check-in", None]
    rows = _engineer_stays(*({"comment": text} for text in texts))
    pieces = np.array([[row[name] for name in row if name.startswith("comment #")] for row in rows])
    likeness = pieces @ pieces[0]
    assert likeness[0] == pytest.approx(1)
    assert likeness[1] > 0.7 > 0.4 > abs(likeness[2])
    assert (likeness[3], rows[3]["comment is missing"], rows[0]["comment length"]) == (0, 1, 19)


def test_a_category_without_a_list_is_told_apart_by_a_number_and_among_many_labels_by_its_pieces() -> None:
    plan = plan_features(STAYS)
    peru, chile, none = _engineer_stays({}, {"country": "Chile"}, {"country": None})
    assert [plan.names[place] for place in plan.codes] == ["country"]
    assert (peru["country"] != chile["country"], none["country"]) == (True, -1)
    assert [plan.names[start] for start, _ in plan.texts] == ["comment #1"]
    moods = STAYS.columns[STAYS.target].model_copy(update={"categories": ("good", "bad", "none")})
    of_moods = STAYS.model_copy(update={"columns": STAYS.columns | {STAYS.target: moods}})
    assert [plan_features(of_moods).names[start] for start, _ in plan_features(of_moods).texts][1:] == ["country #1"]


@pytest.mark.parametrize(
    ("form", "text", "day"),
    [
        ("%Y-%m-%d", "1970-01-11", 10),
        ("%d/%m/%y", "11/01/70", 10),
        ("%d/%m/%Y", "1970-01-11", 10),
        ("%d/%m/%Y %H:%M:%S%.f", "11/01/1970 12:00:00", 10.5),
        ("%d/%m/%Y %H:%M:%S%.f", "11/01/1970 12:00:00.0", 10.5),
        ("%Y-%m-%d %H:%M", "1970-01-11T12:00:00", 10.5),
        ("%Y-%m-%dT%H:%M:%S%z", "1970-01-11T14:00:00+02:00", 10.5),
        ("%Y-%m-%dT%H:%M:%SZ", "1970-01-11T12:00:00Z", 10.5),
        ("%Y-%m-%d", "1970-01-11T12:00", None),
        ("%Y-%m-%d %H:%M", "1970-01-11", None),
        ("%Y-%m-%d %H:%M", "1970-01-11T12:00Z", None),
        ("%Y-%d-%m", "1970-01-31", None),
        ("%Y-%m-%d", "tomorrow", None),
    ],
)
def test_a_time_is_read_by_its_format_or_as_iso_where_that_means_the_same(form: str, text: str, day: float) -> None:
    if day is None:
        with pytest.raises(ValueError, match="should be a time such as"):
            make_clock(form)(text)
    else:
        assert make_clock(form)(text) == day
        assert make_clock(form)(tell_time(day, form)) == day


@pytest.mark.parametrize("tells", [True, False])
def test_a_text_says_of_a_row_only_what_other_rows_show(tells: bool) -> None:
    generator = np.random.default_rng(0)
    pieces = generator.normal(size=(300, 256)).astype(np.float32)
    target = generator.integers(0, 2, 300)
    pieces[:, 7] += 3 * target * tells
    regression = PieceRegression(KFold(5))
    cross_fitted = regression.fit_transform(pieces, target)[:, 0]
    assert (np.corrcoef(cross_fitted, target)[0, 1] > 0.5) == tells
    # Weights say more of the rows that they were learned from than they know.
    assert np.corrcoef(regression.transform(pieces)[:, 0], target)[0, 1] > 0.5


@pytest.mark.parametrize(("labels", "columns"), [(0, 1), (2, 1), (4, 4)])
def test_a_text_is_one_number_or_of_several_labels_one_each(labels: int, columns: int) -> None:
    generator = np.random.default_rng(0)
    pieces = generator.normal(size=(200, 256)).astype(np.float32)
    target = generator.integers(0, labels, 200) if labels else generator.normal(size=200)
    assert PieceRegression(KFold(5)).fit_transform(pieces, target).shape == (200, columns)
