"""How columns become features, the same in training, in batches and in the API."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import DerivedFeature, Project, SourceSettings
from {{ cookiecutter.__package }}.data.splitting import read_split
from {{ cookiecutter.__package }}.data.validation import check_rows
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.features import (
    OPERATIONS,
    RowReader,
    columns_from_frame,
    engineer_features,
    plan_features,
)
from {{ cookiecutter.__package }}.modeling.prediction import load_latest, predict_file
from {{ cookiecutter.__package }}.schema import Schema

from .toys import TOY_SCHEMA

SCHEMA = Schema.model_validate(TOY_SCHEMA)


def _engineer(*derived: DerivedFeature, **values: object) -> dict[str, float]:
    """The features of one row by name, those of which nothing is said at their defaults."""
    plan = plan_features(SCHEMA, derived)
    rows = [{"size": 1.5, "age": 3, "colour": "green", "striped": True} | values]
    return dict(zip(plan.names, engineer_features(RowReader(SCHEMA).read(rows), plan)[0].tolist(), strict=True))


def test_each_feature_has_its_place_and_the_target_has_none() -> None:
    found = _engineer()
    assert list(found)[:3] == ["size", "age", "age is missing"]
    assert found == {
        "size": 1.5,
        "age": 3,
        "age is missing": 0,
        "colour=red": 0,
        "colour=green": 1,
        "colour=blue": 0,
        "striped": 1,
    }


def test_what_is_missing_is_nan_with_a_flag_or_no_category() -> None:
    found = _engineer(age=None, colour=None)
    assert np.isnan(found["age"])
    assert found["age is missing"] == 1
    assert [found[f"colour={name}"] for name in ("red", "green", "blue")] == [0, 0, 0]


def test_numbers_that_are_undefined_or_beyond_float32_are_missing_rather_than_infinite() -> None:
    ratio = DerivedFeature(name="ratio", operation="ratio", columns=("size", "age"))
    assert _engineer(ratio, size=6.0)["ratio"] == 2
    assert np.isnan(_engineer(ratio, age=0)["ratio"])
    assert np.isnan(_engineer(size=1e300)["size"])


@pytest.mark.parametrize(
    ("name", "operation", "columns"),
    [
        ("mine", "product", ("size", "colour")),
        ("mine", "product", ("size", "kind")),
        ("size", "product", ("size", "age")),
        ("mine", "root", ("size",)),
        ("mine", "ratio", ("size",)),
        ("mine", "log1p", ("size", "age")),
    ],
)
def test_a_derived_feature_that_makes_no_sense_is_named(name: str, operation: str, columns: tuple[str, ...]) -> None:
    with pytest.raises(ProjectError, match=rf"derived feature '{name}' needs a name of its own, one of .*product"):
        plan_features(SCHEMA, (DerivedFeature(name=name, operation=operation, columns=columns),))


def test_an_operation_of_your_own_needs_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "mean", lambda one, two, three: (one + two + three) / 3)
    mean = DerivedFeature(name="mine", operation="mean", columns=("size", "age", "striped"))
    assert _engineer(mean, size=6.0, age=2)["mine"] == 3


STAY: dict[str, Any] = {
    "nights": {"type": "integer", "unseen": "take", "maximum": 30},
    "booked": {"type": "timestamp", "format": "%Y-%m-%d %H:%M", "nullable": True},
    "arrival": {"type": "timestamp", "format": "%d.%m.%Y"},
    "comment": {"type": "text", "nullable": True},
    "country": {"type": "category", "nullable": True},
    "room": {"type": "category", "categories": ["single", "double"], "unseen": "take"},
    "paid": {"type": "boolean"},
    "price": {"type": "number"},
}
STAYS = Schema.model_validate({"task": "regression", "target": "price", "columns": STAY})
ROW = {"nights": "3", "booked": "2024-02-29 18:30", "arrival": "03.03.2024", "comment": "A quiet room, please"}
ROW |= {"country": "Peru", "room": "single", "paid": "1"}


def _engineer_stays(*rows: dict[str, Any], derived: tuple[DerivedFeature, ...] = ()) -> list[dict[str, float]]:
    plan = plan_features(STAYS, derived)
    matrix = engineer_features(RowReader(STAYS).read([ROW | row for row in rows]), plan)
    return [dict(zip(plan.names, values, strict=True)) for values in matrix.tolist()]


def test_a_timestamp_becomes_the_parts_of_its_date_and_the_days_between_two_are_a_feature() -> None:
    lead = DerivedFeature(name="lead", operation="difference", columns=("arrival", "booked"))
    found, missing = _engineer_stays({}, {"booked": None}, derived=(lead,))
    parts: dict[str, float] = {"year": 2024, "month": 2, "day": 29, "day of year": 60, "weekday": 3}
    parts |= {"days since 1970": 19782, "hour": 18.5, "is missing": 0}
    assert {name.removeprefix("booked "): found[name] for name in found if name.startswith("booked ")} == parts
    assert "arrival hour" not in found
    assert found["lead"] == pytest.approx(3 - 18.5 / 24)
    assert np.isnan([missing["lead"], missing["booked month"]]).all()
    assert missing["booked is missing"] == 1


def test_the_features_of_a_value_never_change() -> None:
    # A version that was promoted yesterday was trained on them.
    [found] = _engineer_stays({})
    pieces = [found[f"comment #{place}"] for place in range(1, 257)]
    assert found["country"] == 18354
    assert float(np.dot(pieces, range(256))) == pytest.approx(70.2412, abs=1e-3)


def test_what_the_schema_takes_without_knowing_it_is_no_category_or_the_number_itself() -> None:
    [found] = _engineer_stays({"room": "suite", "nights": 99})
    assert (found["room=single"], found["room=double"], found["nights"]) == (0, 0, 99)


def test_a_file_and_the_api_mean_the_same() -> None:
    raw = {name: [ROW.get(name), None if column.get("nullable") else ROW.get(name)] for name, column in STAY.items()}
    features = STAYS.features
    checked = check_rows(pl.LazyFrame({name: raw[name] for name in features}), features, SourceSettings())
    frame = checked.frame.select(checked.is_valid, *checked.typed()).collect()
    assert frame["_valid"].all()
    rows = pl.DataFrame(raw).to_dicts()
    plan = plan_features(STAYS)
    from_frame = engineer_features(columns_from_frame(STAYS, frame), plan)
    np.testing.assert_array_equal(from_frame, engineer_features(RowReader(STAYS).read(rows), plan))


def test_the_api_and_training_see_the_same_matrix(trained: Project, sample_rows: list[dict[str, object]]) -> None:
    frame = read_split(trained.splits, "test").head(len(sample_rows))
    plan = plan_features(trained.schema, trained.model.features.derived)
    from_frame = engineer_features(columns_from_frame(trained.schema, frame), plan)
    from_rows = engineer_features(RowReader(trained.schema).read(sample_rows), plan)
    np.testing.assert_array_equal(from_frame, from_rows)


def test_the_batch_scorer_and_the_api_give_the_same_scores(
    trained: Project, sample_rows: list[dict[str, object]]
) -> None:
    predictor = load_latest(trained)
    scores = predictor.predict(RowReader(trained.schema).read(sample_rows))
    source, output = trained.root / "batch.parquet", trained.root / "scored.parquet"
    pl.DataFrame(sample_rows, infer_schema_length=None).write_parquet(source)
    predict_file(trained, source, output)
    scored = pl.read_parquet(output)
    names = [f"probability {label}" for label in predictor.manifest.labels] or ["prediction"]
    np.testing.assert_allclose(scored.select(names).to_numpy().reshape(scores.shape), scores, rtol=1e-6)
