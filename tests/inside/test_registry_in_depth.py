"""Versions and the pointer: never changed, never lost, never half-written."""

import shutil
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from demo_project.config import Project
from demo_project.modeling.manifest import check_artifacts
from demo_project.modeling.registry import Registry

from .test_registry import registry  # noqa: F401
from .toys import copy_version

# Calls into the system before which a kill would leave another state on the disk.
TOUCHES = {"open", "write", "flush", "fsync", "sendfile", "rename", "replace", "unlink", "mkdir", "rmdir"}


def test_what_a_kill_left_is_no_version_and_versions_are_in_the_order_of_their_numbers(
    trained_toy: Project, registry: Registry
) -> None:
    leftover = registry.versioned / ".v3.dead"
    leftover.mkdir()
    (leftover / "model.onnx").write_bytes(b"half")
    for _ in range(9):
        copy_version(trained_toy)
    assert registry.versions()[-2:] == ["v10", "v11"]


def test_a_history_that_was_cut_off_is_mended_from_the_pointer(trained_toy: Project, registry: Registry) -> None:
    moves = registry.moves()
    registry.history.write_text(registry.history.read_text().splitlines(keepends=True)[0])
    assert registry.moves() == moves
    registry.move_latest(copy_version(trained_toy), "again")
    assert [move.to_version for move in registry.moves()] == ["v1", "v2", "v3"]


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
