"""Versions on disk: `models/versioned/vN`, immutable, and `models/latest/`, the pointer with its history."""

import getpass
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError
from rich.table import Table

from ..config import Project
from ..errors import ProjectError
from ..files import hash_file, staged_folder, write_bytes, write_json
from ..schema import is_same_table
from ..terminal import make_table
from .manifest import MANIFEST_FILE, ONNX_FILE, Manifest, Record, read_manifest

_VERSION = re.compile(r"v([1-9]\d*)")
_LOCK_SECONDS = 600

_logger = logging.getLogger(__name__)


class Move(Record):
    """A move of `latest`: when, by whom, from and to which version, why, and whether the gate was overruled."""

    at: str
    by: str
    from_version: str | None
    to_version: str
    why: str
    forced: bool = False


class Pointer(Record):
    """The content of `models/latest/pointer.json`: a version, the hash of its manifest, how it came there."""

    version: str
    manifest_sha256: str
    move: Move


class Registry:
    """The versions under a models folder. What changes them happens within `locked`.

    `pointer` is the file that names the version in production, `history` has a line of JSON for each move of it.
    """

    def __init__(self, models: Path) -> None:
        self.models = models
        self.versioned = models / "versioned"
        self.pointer = models / "latest" / "pointer.json"
        self.history = models / "latest" / "history.jsonl"

    def folder(self, version: str) -> Path:
        return self.versioned / version

    def manifest(self, version: str) -> Manifest:
        """What a version says of itself. Raises ProjectError where there is no such one, or its manifest is damaged."""
        if version not in self.versions():
            raise ProjectError(f"There is no version {version}; there are {', '.join(self.versions()) or 'none'}.")
        return read_manifest(self.folder(version))

    def versions(self) -> list[str]:
        """The versions that exist, oldest first."""
        numbers = [match[1] for path in self.versioned.glob("v*") if (match := _VERSION.fullmatch(path.name))]
        return [f"v{number}" for number in sorted(map(int, numbers))]

    def latest(self) -> str | None:
        """The version in production, None before the first promotion.

        Raises ProjectError where the pointer is damaged, or names a version that is missing or was changed.
        """
        pointer = self.read_pointer()
        if pointer is None:
            return None
        manifest = self.folder(pointer.version) / MANIFEST_FILE
        if not manifest.is_file():
            raise ProjectError(f"{self.pointer} names {pointer.version}, which is not in {self.versioned}.")
        if hash_file(manifest) != pointer.manifest_sha256:
            raise ProjectError(f"{manifest} was changed after {pointer.version} was promoted; it is not loaded.")
        return pointer.version

    def is_latest(self, candidate: Manifest) -> bool:
        """Whether a candidate is the version in production once more."""
        version = self.latest()
        if version is None:
            return False
        latest = self.manifest(version)
        same_file = candidate.files.get(ONNX_FILE) == latest.files.get(ONNX_FILE)
        # What decides and what rows the API takes are outside of that file.
        return same_file and candidate.weights == latest.weights and is_same_table(candidate.table, latest.table)

    def moves(self) -> list[Move]:
        """Every move of `latest`, oldest first."""
        lines = self.history.read_text(encoding="utf-8").splitlines() if self.history.is_file() else []
        moves = [Move.model_validate_json(line) for line in lines if line]
        pointer = self.read_pointer()
        # The pointer moves first; a process killed right after it has not written the history yet.
        if pointer is not None and (not moves or moves[-1] != pointer.move):
            moves.append(pointer.move)
        return moves

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold off all others that change the registry. Raises ProjectError where one of them takes ten minutes."""
        from filelock import FileLock, Timeout

        self.models.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.models / ".lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise ProjectError(f"Another process holds {error.lock_file}; wait for it, or end it.") from error

    @contextmanager
    def new_version(self) -> Iterator[tuple[str, Path]]:
        """The next version: its name, and a folder to fill, which shows under it once the block ends well.

        Raises ProjectError where a version of that name appeared meanwhile, made outside `locked`.
        """
        # A number is taken, too, where only the pointer to a version is here.
        taken = [int(match[1]) for path in self.versioned.glob("v*") if (match := _VERSION.match(path.name))]
        name = f"v{max(taken, default=0) + 1}"
        with staged_folder(self.folder(name)) as folder:
            yield name, folder
            if self.folder(name).exists():
                raise ProjectError(f"{self.folder(name)} exists; a version is never written again.")

    def move_latest(self, version: str, why: str, forced: bool = False) -> None:
        """Point `latest` at a version, in one step, and record the move."""
        moves = self.moves()
        former = moves[-1].to_version if moves else None
        at = datetime.now(UTC).isoformat(timespec="seconds")
        move = Move(at=at, by=_user(), from_version=former, to_version=version, why=why, forced=forced)
        digest = hash_file(self.folder(version) / MANIFEST_FILE)
        write_json(self.pointer, Pointer(version=version, manifest_sha256=digest, move=move).model_dump())
        write_bytes(self.history, "".join(f"{each.model_dump_json()}\n" for each in (*moves, move)).encode())

    def read_pointer(self) -> Pointer | None:
        """The pointer's content, None before the first promotion. Raises ProjectError where it is damaged."""
        try:
            return Pointer.model_validate_json(self.pointer.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ProjectError(f"{self.pointer} is damaged; restore it, or remove it and promote again.") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "unknown"


def list_versions(project: Project) -> Table:
    """Each version: when, what, its test metrics; `latest` is marked. What is wrong with one is logged."""
    registry, rows = Registry(project.models), list[dict[str, str]]()
    pointer, names = registry.read_pointer(), {"version": "", "created": "", "estimator": ""}
    for version in registry.versions():
        is_latest = pointer is not None and pointer.version == version
        row = {"version": f"{version} (latest)" if is_latest else version, "created": "cannot be read"}
        try:
            manifest = registry.manifest(version)
            row |= {"created": manifest.created_at or "", "estimator": manifest.estimator}
            row |= {name: f"{value:.4f}" for name, value in manifest.metrics.get("test", {}).items()}
        except ProjectError as error:
            _logger.warning("%s", error)
        rows.append(row)
        names |= row
    return make_table(*names, rows=rows)
