"""Settings that are wrong are named, with the file and the place."""

from pathlib import Path

import pytest

from {{ cookiecutter.__package }}.config import Project, find_project
from {{ cookiecutter.__package }}.errors import ProjectError

from .toys import TOY_SCHEMA, change_config


def _columns(**changed: object) -> dict[str, object]:
    return {"columns": TOY_SCHEMA["columns"] | changed}


def test_the_projects_own_settings_are_good() -> None:
    project = find_project()
    assert project.schema.features
    assert project.pipeline.split.test > 0
    assert project.model.estimator


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("pipeline", {"spilt": {}}, r"config/pipeline.yaml has wrong settings:\n  spilt: Extra inputs"),
        ("pipeline", {"split": {"test": 0.5, "validation": 0.5}}, r"split.validation: .*less than 0.5"),
        ("pipeline", {"validation": {"maximum_rejected_share": 7}}, r"validation.maximum_rejected_share: .*7"),
        ("model", {"gate": {"metric": "accuracy"}}, r"config/model.yaml.*\n  gate.minimum: Field required"),
        ("schema", {"target": "weight"}, r"target 'weight' is not one of the columns"),
        ("schema", {"task": "regression"}, r"regression needs target 'kind' of type number"),
        ("schema", {"target": "size"}, r"classification needs target 'size' of type category"),
        ("schema", _columns(size={"type": "number", "minimum": 2, "maximum": 1}), r"size: .*minimum is above maximum"),
        ("schema", _columns(colour={"type": "category", "unseen": "take"}), r"colour: .*others have all values"),
        ("schema", _columns(colour={"type": "category", "categories": [True]}), r"colour.categories.0: .*string"),
    ],
)
def test_a_wrong_setting_is_named(toy: Project, name: str, changes: dict[str, object], message: str) -> None:
    project = change_config(toy, name, **changes)
    with pytest.raises(ProjectError, match=message):
        getattr(project, name)


def test_a_file_that_is_no_yaml_is_named(toy: Project) -> None:
    (toy.root / "config" / "model.yaml").write_text("gate: [")
    with pytest.raises(ProjectError, match=r"config/model.yaml is not valid YAML"):
        assert toy.model


def test_outside_a_project_the_message_says_where_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROJECT_ROOT", raising=False)
    with pytest.raises(ProjectError, match=r"run the command inside the project, or set PROJECT_ROOT"):
        find_project(tmp_path)


def test_the_environment_names_the_project(toy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_ROOT", str(toy.root))
    assert find_project().root == toy.root
    monkeypatch.setenv("PROJECT_ROOT", str(toy.root / "data"))
    with pytest.raises(ProjectError, match=r"PROJECT_ROOT is .*set it to the project"):
        find_project()
