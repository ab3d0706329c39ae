"""Versions on disk: `models/versioned/vN`, immutable, and `models/latest/`, the pointer with its history."""

import getpass
import json
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import ProjectError
from ..utils.files import hash_file, sync_folder, sync_tree, write_bytes, write_json
from .manifest import MANIFEST_FILE, Manifest, manifest_json, read_manifest

_VERSION = re.compile(r"v([1-9]\d*)")


class Pointer(BaseModel):
    """The content of `models/latest/pointer.json`: a version and the hash of its manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    manifest_sha256: str


@dataclass(frozen=True)
class Registry:
    """The versions under a models folder."""

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
        """What a version says of itself."""
        return read_manifest(self.folder(version))

    def versions(self) -> list[str]:
        """The versions that exist, oldest first."""
        if not self.versioned.is_dir():
            return []
        numbers = [match[1] for path in self.versioned.iterdir() if (match := _VERSION.fullmatch(path.name))]
        return [f"v{number}" for number in sorted(map(int, numbers))]

    def latest(self) -> str | None:
        """The version in production, None before the first promotion.

        Raises:
            ProjectError: the pointer is damaged, or names a version that is missing or was changed.
        """
        try:
            pointer = Pointer.model_validate_json(self.pointer.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ProjectError(f"{self.pointer} is damaged; restore it or promote a model again.") from error
        manifest = self.folder(pointer.version) / MANIFEST_FILE
        if not manifest.is_file():
            raise ProjectError(f"{self.pointer} names {pointer.version}, which is not in {self.versioned}.")
        if hash_file(manifest) != pointer.manifest_sha256:
            raise ProjectError(f"{manifest} was changed after {pointer.version} was promoted; it is not loaded.")
        return pointer.version

    def add(self, candidate: Path, metrics: dict[str, dict[str, float]]) -> str:
        """Copy a candidate to the next free version; nothing of it shows until all of it is there."""
        manifest = read_manifest(candidate)
        self.versioned.mkdir(parents=True, exist_ok=True)
        staging = self.versioned / f".staging.{uuid.uuid4().hex}"
        staging.mkdir()
        try:
            for name in manifest.files:
                shutil.copyfile(candidate / name, staging / name)
            while True:
                version = self._next_version()
                self._write_manifest(staging, manifest, version, metrics)
                sync_tree(staging)
                try:
                    staging.rename(self.folder(version))
                except OSError:
                    if not self.folder(version).exists():
                        raise
                    continue  # another process took the number
                sync_folder(self.versioned)
                return version
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def move_latest(self, version: str, reason: str) -> None:
        """Point `latest` at a version and record the move."""
        previous = self.latest()
        pointer = Pointer(version=version, manifest_sha256=hash_file(self.folder(version) / MANIFEST_FILE))
        write_bytes(self.pointer, (pointer.model_dump_json(indent=2) + "\n").encode())
        record = {"at": now(), "by": _user(), "from": previous, "to": version, "why": reason}
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _next_version(self) -> str:
        versions = self.versions()
        return f"v{int(versions[-1][1:]) + 1}" if versions else "v1"

    def _write_manifest(
        self, folder: Path, manifest: Manifest, version: str, metrics: dict[str, dict[str, float]]
    ) -> None:
        complete = manifest.model_copy(update={"version": version, "created_at": now(), "metrics": metrics})
        write_json(folder / MANIFEST_FILE, manifest_json(complete))


def now() -> str:
    """The present moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "unknown"
