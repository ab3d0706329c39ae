"""What a model says of itself: the file `manifest.json` beside its artifacts."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..config import DataSummary, DerivedFeature, describe_errors
from ..errors import ProjectError
from ..files import hash_file, write_json
from ..schema import Schema

MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.json"
ONNX_FILE = "model.onnx"


class Record(BaseModel):
    """Base of what a manifest holds: immutable, and what an older release wrote besides is passed over."""

    model_config = ConfigDict(frozen=True)


class ArtifactRecord(Record):
    """A file of the version: its hash and its size in bytes."""

    sha256: str
    bytes: int


class ParityRecord(Record):
    """How far ONNX was from scikit-learn on held-out rows, in `ParitySettings`' unit; no rows if it came alone."""

    rows: int = 0
    largest_difference: float = 0


class Comparison(Record):
    """A candidate and another on the same rows: what each has by the gate's metric, and how sure the gain is.

    `gain` is how much better the candidate is, whichever way is better, and `interval` the middle 95% of its resampled
    values; `confidence` is the share of these above 0, a tie being none, and a draw without a number neither.
    """

    against: str
    candidate: float
    other: float
    gain: float
    interval: tuple[float, float]
    confidence: float
    rows: int


class Verdict(Record):
    """What the gate said, with what it compared: the best constant answer, and `against` which version, if any.

    `metrics` are those of that version on the same rows. A version has `reasons` if it was `forced`, which says why.
    """

    metric: str
    against: str | None = None
    compared: tuple[Comparison, ...] = ()
    metrics: dict[str, float] = {}
    reasons: tuple[str, ...] = ()
    forced: str = ""


class Manifest(Record):
    """A candidate or a version.

    `labels` are the classes in the order of the probabilities, empty for a regression; the label of a row is that
    whose probability times its weight is largest (`weights`, empty for all alike). `typical` has a usual value of
    each feature. A candidate lacks `version`, `created_at`, `commit` (git's, `-dirty` behind it where code or settings
    differed), `metrics` but those of the validation rows, `intervals` (the middle 95% of the test metrics) and `gate`.
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
    parity: ParityRecord
    data: DataSummary
    environment: dict[str, str]
    metrics: dict[str, dict[str, float]] = {}
    intervals: dict[str, tuple[float, float]] = {}
    gate: Verdict | None = None
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
