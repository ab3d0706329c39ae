"""Versions and the pointer: never changed, never lost, never half-written."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.manifest import check_artifacts
from {{ cookiecutter.__package }}.modeling.prediction import load_latest
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry

from .toys import copy_version, read_files

# Calls into the system before which a kill would leave another state on the disk.
TOUCHES = {"open", "write", "flush", "fsync", "sendfile", "rename", "replace", "unlink", "mkdir", "rmdir"}


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


def test_what_a_kill_left_is_cleared_and_versions_are_in_the_order_of_their_numbers(
    trained_toy: Project, registry: Registry
) -> None:
    leftover = registry.versioned / ".v3.dead"
    leftover.mkdir()
    (leftover / "model.onnx").write_bytes(b"half")
    for _ in range(9):
        copy_version(trained_toy)
    assert registry.versions()[-2:] == ["v10", "v11"]
    assert not leftover.exists()


def test_promotions_at_once_give_a_version_each_and_the_history_tells_who_when_and_why(trained_toy: Project) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda reason: promote_model(trained_toy, force_reason=reason), ["because", "because"])
    assert sorted(made) == ["v2", "v3"]
    first, second, third = Registry(trained_toy.models).moves()
    assert (first.from_version, first.to_version, first.forced) == (None, "v1", False)
    assert (second.from_version, second.to_version, second.forced) == ("v1", "v2", True)
    assert (third.from_version, third.to_version, third.why) == ("v2", "v3", "because")
    assert second.by
    assert second.at > "2026"
    assert load_latest(trained_toy).manifest.version == "v3"


def test_a_history_that_was_cut_off_is_mended_from_the_pointer(trained_toy: Project, registry: Registry) -> None:
    moves = registry.moves()
    registry.history.write_text(registry.history.read_text().splitlines(keepends=True)[0])
    assert registry.moves() == moves
    registry.move_latest(copy_version(trained_toy), "again")
    assert [move.to_version for move in registry.moves()] == ["v1", "v2", "v3"]


def test_a_rollback_goes_to_the_version_before_and_pruning_keeps_both(trained_toy: Project, registry: Registry) -> None:
    assert roll_back(trained_toy) == "v1"
    assert registry.moves()[-1].why.startswith("rollback, test log_loss 0.")
    for _ in range(3):
        copy_version(trained_toy)
    assert registry.prune(keep=1) == ["v3", "v4", "v5"]
    assert registry.versions() == ["v1", "v2"]
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


def test_killed_at_any_moment_latest_names_a_whole_version(registry: Registry) -> None:
    states: list[Registry] = []

    def keep_state(_: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ in TOUCHES:
            state = registry.models.parent / "states" / str(len(states))
            states.append(Registry(Path(shutil.copytree(registry.models, state))))

    sys.setprofile(keep_state)
    try:
        with registry.locked():
            with registry.new_version() as (name, folder):
                shutil.copytree(registry.folder("v1"), folder, dirs_exist_ok=True)
            registry.move_latest(name, "a test")
            registry.prune(keep=1)
    finally:
        sys.setprofile(None)
    found = []
    for state in states:
        latest = state.latest()
        assert latest is not None
        check_artifacts(state.folder(latest), state.manifest(latest))
        assert state.moves()[-1].to_version == latest
        found.append(latest)
    assert len(states) > 50
    assert list(dict.fromkeys(found)) == ["v2", "v3"]
