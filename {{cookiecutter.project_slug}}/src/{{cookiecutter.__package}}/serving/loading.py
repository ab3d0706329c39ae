"""Follows `models/latest`: loads a version beside the one that is served, then swaps."""

import threading

from ..errors import ProjectError
from ..modeling.registry import Registry
from ..terminal import get_logger
from .metrics import Metrics
from .model import ServedModel, load_served_model

_logger = get_logger(__name__)

_Stamp = tuple[int, int, int]


class LatestModel:
    """The version that `models/latest` points to, or, where that one is damaged, the one before.

    `served` is None until a version is loaded. It is replaced by a single assignment, so a request
    that took the former version still ends with it.
    """

    def __init__(self, registry: Registry, metrics: Metrics, maximum_rows: int) -> None:
        self.served: ServedModel | None = None
        self._registry = registry
        self._metrics = metrics
        self._maximum_rows = maximum_rows
        self._stamp: _Stamp | None = None
        self._last_problem = ""

    def refresh(self) -> None:
        """Load the latest version if the pointer has moved; log why if that cannot be done."""
        try:
            self._load()
        except ProjectError as error:
            self._report(str(error))
        except Exception as error:
            self._report(f"{type(error).__name__}: {error}")

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
        if version is None:
            return
        if self.served is not None and version == self.served.version:
            self._last_problem = ""
            return
        model = load_served_model(self._registry.folder(version), self._maximum_rows)
        self._metrics.serve(model.manifest, version)
        self.served = model
        self._last_problem = ""
        _logger.info("Serving %s (%s)", version, model.manifest.estimator)

    def _pointer_stamp(self) -> _Stamp | None:
        try:
            status = self._registry.pointer.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _report(self, problem: str) -> None:
        if problem == self._last_problem:
            return
        self._last_problem = problem
        self._metrics.count_refused_model()
        kept = f"{self.served.version} stays served" if self.served else "no model is served"
        _logger.error("The latest model was not loaded, %s: %s", kept, problem)
