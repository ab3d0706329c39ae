"""The gate, and that it refuses."""

import pytest
from demo_project.config import Project
from demo_project.errors import ProjectError
from demo_project.modeling.promotion import preview_promotion, promote_model
from demo_project.schema import Schema, is_same_table

from .test_promotion import COLUMNS
from .toys import TOY_SCHEMA, make_candidate, read_files


def test_where_onnx_differs_there_is_no_candidate_and_the_former_stays(trained_toy: Project) -> None:
    before = read_files(trained_toy.candidate)
    with pytest.raises(ProjectError, match=r"differs from scikit-learn: .* further apart .*Choose another"):
        make_candidate(trained_toy, parity={"tolerance": 1e-12, "maximum_share": 0})
    assert read_files(trained_toy.candidate) == before


def test_a_comparison_says_that_there_is_no_version_yet_or_that_it_is_the_same_model(prepared: Project) -> None:
    page = make_candidate(prepared).reports / "comparison.md"
    preview_promotion(prepared)
    assert "against no version yet" in page.read_text(encoding="utf-8")
    promote_model(prepared)
    assert preview_promotion(prepared).startswith("Nothing new:")
    assert "## Nothing new: the same data and settings gave the model that v1 is." in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("column", "changes", "is_same"),
    [
        ("age", {"sensitive": True, "description": "Years since birth"}, True),
        ("age", {"maximum": 121}, False),
        ("age", {"unseen": "take"}, False),
        ("age", {"nullable": False}, False),
        ("age", {"type": "number"}, False),
        ("age", {"role": "ignored"}, False),
        ("colour", {"categories": ["green", "red", "blue"]}, False),
    ],
)
def test_what_a_column_may_hold_makes_another_table_and_a_mark_on_it_does_not(
    column: str, changes: dict[str, object], is_same: bool
) -> None:
    changed = Schema.model_validate(TOY_SCHEMA | {"columns": COLUMNS | {column: COLUMNS[column] | changes}})
    assert is_same_table(changed, Schema.model_validate(TOY_SCHEMA)) == is_same
