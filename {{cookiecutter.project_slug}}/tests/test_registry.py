"""Versions and the pointer: never changed, never lost, never half-written."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.prediction import load_latest
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry

from .toys import copy_version, read_files


@pytest.fixture
def registry(trained_toy: Project) -> Registry:
    """The versions of a toy: v1, which was latest, and v2, which is."""
    registry = Registry(trained_toy.models)
    registry.move_latest(copy_version(trained_toy), "because")
    return registry


def test_a_version_is_never_written_again(registry: Registry) -> None:
    before = read_files(registry.folder("v1"))
    with pytest.raises(ProjectError, match="a version is never written again"):  # noqa: PT012, SIM117 - the block's end raises
        with registry.new_version() as (name, folder):
            (folder / "model.onnx").write_bytes(b"mine")
            # Another process, which knows of no lock, takes the number meanwhile.
            shutil.copytree(registry.folder("v1"), registry.folder(name))
    assert registry.versions() == ["v1", "v2", "v3"]
    assert read_files(registry.folder("v3")) == before


def test_a_version_that_fails_half_way_does_not_show(registry: Registry) -> None:
    before = read_files(registry.models)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117 - the block's end raises
        with registry.new_version() as (_, folder):
            (folder / "model.onnx").write_bytes(b"half")
            raise ZeroDivisionError
    assert read_files(registry.models) == before


def test_promotions_at_once_give_a_version_each_and_the_history_tells_who_when_and_why(trained_toy: Project) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda reason: promote_model(trained_toy, force_reason=reason), ["because", "because"])
    assert sorted(made) == ["models/latest is now v2", "models/latest is now v3"]
    first, second, third = Registry(trained_toy.models).moves()
    assert (first.from_version, first.to_version, first.forced) == (None, "v1", False)
    assert (second.from_version, second.to_version, second.forced) == ("v1", "v2", True)
    assert (third.from_version, third.to_version, third.why) == ("v2", "v3", "because")
    assert second.by
    assert second.at > "2026"
    assert load_latest(trained_toy).manifest.version == "v3"


def test_a_rollback_goes_to_the_version_before(trained_toy: Project, registry: Registry) -> None:
    assert roll_back(trained_toy) == "v1"
    assert registry.moves()[-1].why == "rollback"
    assert load_latest(trained_toy).manifest.version == "v1"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("v9", "There is no version v9; there are v1, v2"),
        ("v2", "latest is v2 already"),
        ("../v1", "There is no version"),
        ("v1", "is not the file its manifest describes"),
    ],
)
def test_a_rollback_to_nowhere_or_to_a_damaged_version_is_refused(
    trained_toy: Project, registry: Registry, version: str, message: str
) -> None:
    (registry.folder("v1") / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ProjectError, match=message):
        roll_back(trained_toy, version)
    assert registry.latest() == "v2"


def test_the_first_version_has_none_to_roll_back_to(trained_toy: Project) -> None:
    with pytest.raises(ProjectError, match="There is no version before latest"):
        roll_back(trained_toy)
