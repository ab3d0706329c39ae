"""How columns become features, the same in training, in batches and in the API."""

import numpy as np
import polars as pl
import pytest

from {{ cookiecutter.__package }}.config import DerivedFeature, Project, SelectionSettings
from {{ cookiecutter.__package }}.data.splitting import read_split
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.features import OPERATIONS, RowReader, columns_from_frame, engineer_features, plan_features
from {{ cookiecutter.__package }}.modeling.estimators import make_selector
from {{ cookiecutter.__package }}.modeling.prediction import load_latest, predict_file
from {{ cookiecutter.__package }}.schema import Schema

from .toys import TOY_SCHEMA

SCHEMA = Schema.model_validate(TOY_SCHEMA)


def test_each_feature_has_its_place_and_the_target_has_none() -> None:
    names = plan_features(SCHEMA).names
    assert names == (
        "size",
        "age",
        "age is missing",
        "colour=red",
        "colour=green",
        "colour=blue",
        "striped",
    )


def test_values_stand_in_their_places() -> None:
    rows = [{"size": 1.5, "age": None, "colour": "green", "striped": True}]
    matrix = engineer_features(RowReader(SCHEMA).read(rows), plan_features(SCHEMA))
    np.testing.assert_array_equal(matrix, np.array([[1.5, np.nan, 1, 0, 1, 0, 1]], dtype=np.float32))


def test_a_missing_category_is_no_category() -> None:
    rows = [{"size": 1.5, "age": 3, "striped": False}]
    matrix = engineer_features(RowReader(SCHEMA).read(rows), plan_features(SCHEMA))
    np.testing.assert_array_equal(matrix[0, 3:6], [0, 0, 0])


def test_a_derived_feature_that_is_undefined_is_missing() -> None:
    ratio = DerivedFeature(name="ratio", operation="ratio", columns=("size", "age"))
    plan = plan_features(SCHEMA, (ratio,))
    rows = [{"size": 6.0, "age": 3, "striped": True}, {"size": 6.0, "age": 0, "striped": True}]
    matrix = engineer_features(RowReader(SCHEMA).read(rows), plan)
    np.testing.assert_array_equal(matrix[:, plan.names.index("ratio")], [2, np.nan])


def test_numbers_beyond_float32_are_missing_rather_than_infinite() -> None:
    rows = [{"size": 1e300, "age": 3, "striped": True}]
    matrix = engineer_features(RowReader(SCHEMA).read(rows), plan_features(SCHEMA))
    assert np.isnan(matrix[0, 0])


@pytest.mark.parametrize(("name", "column"), [("ratio", "colour"), ("ratio", "kind"), ("size", "age")])
def test_a_derived_feature_that_makes_no_sense_is_refused(name: str, column: str) -> None:
    feature = DerivedFeature(name=name, operation="product", columns=("size", column))
    with pytest.raises(ProjectError, match="derived feature"):
        plan_features(SCHEMA, (feature,))


@pytest.mark.parametrize(
    ("operation", "columns", "message"),
    [
        ("root", ["size"], r"has operation 'root', which is none of .*product"),
        ("ratio", ["size"], r"has 1 column\(s\); ratio takes 2"),
        ("log1p", ["size", "age"], r"has 2 column\(s\); log1p takes 1"),
    ],
)
def test_an_operation_that_does_not_fit_is_named(operation: str, columns: list[str], message: str) -> None:
    feature = DerivedFeature(name="mine", operation=operation, columns=tuple(columns))
    with pytest.raises(ProjectError, match=message):
        plan_features(SCHEMA, (feature,))


def test_an_operation_of_your_own_needs_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "mean", lambda one, two, three: (one + two + three) / 3)
    plan = plan_features(SCHEMA, (DerivedFeature(name="mine", operation="mean", columns=("size", "age", "striped")),))
    rows = [{"size": 6.0, "age": 2, "striped": True, "colour": "red"}]
    assert engineer_features(RowReader(SCHEMA).read(rows), plan)[0, plan.names.index("mine")] == 3


def test_selection_keeps_no_more_than_there_is() -> None:
    selector = make_selector(SelectionSettings(method="k_best", k=99), "classification", features=2)
    matrix, target = np.array([[0.1, 5], [1, 3], [0, 1], [0.9, 8]]), np.array([0, 1, 0, 1])
    assert selector is not None
    assert selector.fit_transform(matrix, target).shape == (4, 2)


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
