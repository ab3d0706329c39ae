"""Versions on disk: `models/versioned/vN`, immutable, and `models/latest/`, the pointer with its history."""

import getpass
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import ProjectError
from ..files import hash_file, sync_folder, sync_tree, write_bytes, write_json
from .manifest import MANIFEST_FILE, Manifest, read_manifest

_VERSION = re.compile(r"v([1-9]\d*)")
_STAGING = ".staging."
_LOCK_SECONDS = 600


class Move(BaseModel):
    """A move of `latest`: when, by whom, from and to which version, why, and whether the gate was overruled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: str
    by: str
    from_version: str | None
    to_version: str
    why: str
    forced: bool = False


class Pointer(BaseModel):
    """The content of `models/latest/pointer.json`: a version, the hash of its manifest, how it came there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    manifest_sha256: str
    move: Move


@dataclass(frozen=True)
class NewVersion:
    """A version in the making: its name, and the folder to fill."""

    name: str
    folder: Path


@dataclass(frozen=True)
class Registry:
    """The versions under a models folder. What changes them happens within `locked`."""

    models: Path

    @property
    def versioned(self) -> Path:
        """Folder of the versions."""
        return self.models / "versioned"

    @property
    def pointer(self) -> Path:
        """File that names the version in production."""
        return self.models / "latest" / "pointer.json"

    @property
    def history(self) -> Path:
        """File with one JSON line for each move of the pointer."""
        return self.models / "latest" / "history.jsonl"

    def folder(self, version: str) -> Path:
        """Where a version lives."""
        return self.versioned / version

    def manifest(self, version: str) -> Manifest:
        """What a version says of itself. Raises ProjectError where there is no such one, or its manifest is damaged."""
        if version not in self.versions():
            raise ProjectError(f"There is no version {version}; there are {', '.join(self.versions()) or 'none'}.")
        return read_manifest(self.folder(version))

    def versions(self) -> list[str]:
        """The versions that exist, oldest first."""
        if not self.versioned.is_dir():
            return []
        numbers = [match[1] for path in self.versioned.iterdir() if (match := _VERSION.fullmatch(path.name))]
        return [f"v{number}" for number in sorted(map(int, numbers))]

    def latest(self) -> str | None:
        """The version in production, None before the first promotion.

        Raises ProjectError where the pointer is damaged, or names a version that is missing or was changed.
        """
        pointer = self._read_pointer()
        if pointer is None:
            return None
        manifest = self.folder(pointer.version) / MANIFEST_FILE
        if not manifest.is_file():
            raise ProjectError(f"{self.pointer} names {pointer.version}, which is not in {self.versioned}.")
        if hash_file(manifest) != pointer.manifest_sha256:
            raise ProjectError(f"{manifest} was changed after {pointer.version} was promoted; it is not loaded.")
        return pointer.version

    def moves(self) -> list[Move]:
        """Every move of `latest`, oldest first."""
        lines = self.history.read_text(encoding="utf-8").splitlines() if self.history.is_file() else []
        moves = [Move.model_validate_json(line) for line in lines if line]
        pointer = self._read_pointer()
        # The pointer moves first; a process killed right after it has not written the history yet.
        if pointer is not None and (not moves or moves[-1] != pointer.move):
            moves.append(pointer.move)
        return moves

    def predecessor(self) -> str | None:
        """The version that was in production before this one."""
        moves = self.moves()
        return moves[-1].from_version if moves else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold off all others that change the registry. Raises ProjectError where one of them takes ten minutes."""
        from filelock import FileLock, Timeout

        self.models.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.models / ".lock", timeout=_LOCK_SECONDS)
        try:
            with lock:
                yield
        except Timeout as error:
            raise ProjectError(f"Another process holds {lock.lock_file}; wait for it, or end it.") from error

    @contextmanager
    def new_version(self) -> Iterator[NewVersion]:
        """The next version: a folder to fill, which shows under its name once the block ends well.

        Raises ProjectError where a version of that name appeared meanwhile, made outside `locked`.
        """
        self.versioned.mkdir(parents=True, exist_ok=True)
        for leftover in self.versioned.glob(f"{_STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # A number is taken, too, where only the pointer to a version is here.
        taken = [int(match[1]) for path in self.versioned.iterdir() if (match := _VERSION.match(path.name))]
        name = f"v{max(taken, default=0) + 1}"
        staging = self.versioned / f"{_STAGING}{uuid.uuid4().hex}"
        staging.mkdir()
        try:
            yield NewVersion(name, staging)
            sync_tree(staging)
            try:
                staging.rename(self.folder(name))
            except OSError as error:
                raise ProjectError(f"{self.folder(name)} exists; a version is never written again.") from error
            sync_folder(self.versioned)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def move_latest(self, version: str, why: str, forced: bool = False) -> None:
        """Point `latest` at a version, in one step, and record the move."""
        moves = self.moves()
        former = moves[-1].to_version if moves else None
        move = Move(at=now(), by=_user(), from_version=former, to_version=version, why=why, forced=forced)
        digest = hash_file(self.folder(version) / MANIFEST_FILE)
        pointer = Pointer(version=version, manifest_sha256=digest, move=move)
        write_json(self.pointer, pointer.model_dump())
        lines = [json.dumps(each.model_dump(), ensure_ascii=False) + "\n" for each in (*moves, move)]
        write_bytes(self.history, "".join(lines).encode())

    def prune(self, keep: int) -> list[str]:
        """Remove the oldest versions until `keep` are left; never `latest` or its predecessor."""
        versions = self.versions()
        needed = {self.latest(), self.predecessor()}
        removed = [version for version in versions if version not in needed][: max(len(versions) - keep, 0)]
        for version in removed:
            # Renamed first, so that a version never shows with half of its files.
            doomed = self.versioned / f"{_STAGING}{uuid.uuid4().hex}"
            self.folder(version).rename(doomed)
            shutil.rmtree(doomed)
        return removed

    def _read_pointer(self) -> Pointer | None:
        try:
            return Pointer.model_validate_json(self.pointer.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ProjectError(f"{self.pointer} is damaged; restore it, or remove it and promote again.") from error


def now() -> str:
    """The present moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "unknown"
