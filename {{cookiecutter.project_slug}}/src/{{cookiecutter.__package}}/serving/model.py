"""The model that answers: loaded from `models/latest`, and replaced when that pointer moves."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ..features import RowReader
from ..modeling.manifest import Manifest
from ..modeling.model import Model, load_model
from ..modeling.registry import Registry
from ..terminal import get_logger
from . import metrics
from .rows import Predictions, RefusedError, Row, RowError, explain, make_request_type

_logger = get_logger(__name__)


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One version in memory; made once, then only read, by many requests at a time."""

    version: str
    model: Model
    request_type: type[BaseModel]
    row_reader: RowReader

    @property
    def manifest(self) -> Manifest:
        """What the version says of itself."""
        return self.model.manifest

    def read(self, body: bytes) -> list[Row]:
        """The rows of a request; a column that may be missing can be null or left out.

        Raises:
            RefusedError: the body is not JSON, not of the right shape, or breaks the schema.
        """
        try:
            rows: list[Row] = self.request_type.model_validate_json(body).rows  # type: ignore[attr-defined]
        except ValidationError as error:
            raise explain(error.errors(include_url=False, include_input=False)) from None
        return rows

    def predict(self, rows: Sequence[Row]) -> Predictions:
        """One prediction for each row, in their order.

        Raises:
            RefusedError: the model has no finite number for a row.
        """
        scores = self.model.predict(self.row_reader.read(rows)).tolist()
        labels = self.manifest.labels
        # For the few numbers of a request, plain Python is faster than NumPy.
        _refuse_infinite([sum(shares) for shares in scores] if labels else scores)
        if not labels:
            return [{"value": value} for value in scores]
        return [
            {"label": labels[shares.index(max(shares))], "probabilities": dict(zip(labels, shares, strict=True))}
            for shares in scores
        ]


def load_served_model(folder: Path, maximum_rows: int) -> ServedModel:
    """Load and check the version in `folder`.

    Raises:
        ProjectError: the version is damaged or cannot be loaded.
    """
    model = load_model(folder)
    table = model.manifest.table
    return ServedModel(folder.name, model, make_request_type(table, maximum_rows), RowReader(table))


class LatestModel:
    """The version that `models/latest` points to, or, where that one is damaged, the one before.

    `served` is None until a version is loaded. It is replaced by a single assignment, so a request
    that took the former version still ends with it.
    """

    def __init__(self, registry: Registry, maximum_rows: int) -> None:
        self.served: ServedModel | None = None
        self._registry = registry
        self._maximum_rows = maximum_rows
        self._stamp: tuple[int, ...] = ()
        self._problem = ""

    def refresh(self) -> None:
        """Load the latest version if the pointer has moved; log why if that cannot be done."""
        try:
            self._load()
        except Exception as error:
            # Whatever it is, it must not end the thread that follows the pointer.
            if str(error) != self._problem:
                self._problem = str(error)
                metrics.count_refused_model()
                kept = f"{self.served.version} stays served" if self.served else "no model is served"
                _logger.error("The latest model was not loaded, %s: %s", kept, error)

    def follow(self, seconds: float) -> None:
        """Refresh every so many seconds, in a thread that ends with the process."""
        threading.Thread(target=self._poll, args=(seconds,), name="follow-latest", daemon=True).start()

    def _poll(self, seconds: float) -> None:
        pause = threading.Event()
        while not pause.wait(seconds):
            self.refresh()

    def _load(self) -> None:
        stamp = self._pointer_stamp()
        # A version that was refused is not hashed again until the pointer is written anew, unless
        # nothing is served, when each attempt may be the one that helps.
        if stamp == self._stamp and self.served is not None:
            return
        self._stamp = stamp
        version = self._registry.latest()
        if version is not None and (self.served is None or version != self.served.version):
            served = load_served_model(self._registry.folder(version), self._maximum_rows)
            metrics.show_model(served.manifest, version)
            self.served = served
            _logger.info("Serving %s (%s)", version, served.manifest.estimator)
        self._problem = ""

    def _pointer_stamp(self) -> tuple[int, ...]:
        try:
            status = self._registry.pointer.stat()
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_ino, status.st_size


def _refuse_infinite(values: list[float]) -> None:
    if all(map(isfinite, values)):
        return
    message = "The model has no finite answer: the values are too far from those that it was trained on"
    errors = [RowError(row=row, message=message) for row, value in enumerate(values) if not isfinite(value)]
    raise RefusedError(422, "Some rows have no finite answer; see errors", errors)
