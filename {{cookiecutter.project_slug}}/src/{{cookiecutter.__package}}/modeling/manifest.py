"""What a model says of itself: the file `manifest.json` beside its artifacts."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from ..config import DerivedFeature, PlacedSplit, describe_errors
from ..errors import ProjectError
from ..files import hash_file, write_json
from ..schema import Schema

MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.json"
ONNX_FILE = "model.onnx"
SKOPS_FILE = "model.skops"


class ArtifactRecord(BaseModel, frozen=True, extra="forbid"):
    """A file of the version: its hash and its size in bytes."""

    sha256: str
    bytes: int


class DataRecord(BaseModel, frozen=True, extra="forbid"):
    """The data that the model was made from: hash of the raw files, rows by split, rows rejected, how it was split."""

    sha256: str
    rows: dict[str, int]
    rejected: int
    split: PlacedSplit | None = None


class ParityRecord(BaseModel, frozen=True, extra="forbid"):
    """How far ONNX and scikit-learn were apart on held-out rows; `largest_difference` is in `ParitySettings`' unit."""

    rows: int
    largest_difference: float = 0
    share_beyond_tolerance: float = 1
    label_changes: int = 0
    passed: bool = False
    reason: str = ""


class GateRecord(BaseModel, frozen=True, extra="forbid"):
    """What the gate said of a version: `gain` in the metric's unit and `confidence`, from 0 to 1, over another.

    It was candidate `number` against that one on the same rows, and `asked` for that confidence. `reasons` is empty
    unless the version was `forced`, which says why.
    """

    metric: str
    against: str | None = None
    gain: float | None = None
    confidence: float | None = None
    number: int = 1
    asked: float | None = None
    reasons: tuple[str, ...] = ()
    forced: str = ""


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """A candidate or a version.

    `labels` are the classes in the order of the probabilities, empty for a regression; the label of a row is that
    whose probability times its weight is largest (`weights`, empty for all alike). `typical` has a usual value of
    each feature. A candidate lacks `version`, `created_at`, `commit` (git's, `-dirty` behind it where code or settings
    differed), test `metrics`, `intervals` (the middle 95% of each of them) and `gate`.
    """

    version: str | None = None
    created_at: str | None = None
    commit: str = ""
    table: Schema
    derived: tuple[DerivedFeature, ...]
    features: tuple[str, ...]
    labels: tuple[str, ...]
    weights: tuple[float, ...] = ()
    typical: dict[str, Any] = {}
    estimator: str
    hyperparameters: dict[str, Any]
    seed: int
    runtime: Literal["onnx", "sklearn"]
    parity: ParityRecord
    data: DataRecord
    environment: dict[str, str]
    metrics: dict[str, dict[str, float]] = {}
    intervals: dict[str, tuple[float, float]] = {}
    gate: GateRecord | None = None
    files: dict[str, ArtifactRecord] = {}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a candidate or a version. Raises ProjectError where it is missing or damaged."""
    path = folder / MANIFEST_FILE
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ProjectError(f"No model in {folder}: {MANIFEST_FILE} cannot be read.") from error
    except ValidationError as error:
        raise ProjectError(f"{path} is damaged:\n{describe_errors(error)}") from error


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest with hash and size of each file that `folder` holds; what was written."""
    records = {
        path.relative_to(folder).as_posix(): ArtifactRecord(sha256=hash_file(path), bytes=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    complete = manifest.model_copy(update={"files": records})
    write_json(folder / MANIFEST_FILE, complete.model_dump(mode="json"))
    return complete


def check_artifacts(folder: Path, manifest: Manifest) -> None:
    """Compare each file with the manifest. Raises ProjectError where one is missing or not what was written."""
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ProjectError(f"{path} is missing; restore the version or roll back to another one.")
        if hash_file(path) != record.sha256:
            raise ProjectError(f"{path} is not the file its manifest describes (sha256 differs); it is not loaded.")
