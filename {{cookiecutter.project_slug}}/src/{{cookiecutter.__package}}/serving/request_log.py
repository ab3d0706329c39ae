"""Rows that were answered, kept for `monitor`: sampled, without sensitive columns, never in a request's way.

A request only puts a line into a buffer in memory; a thread writes what came in half a second at once, since
one that wakes for each request would slow them all. What does not fit, since the disk is slow, full or gone, is
dropped and counted.
"""

import os
import random
import secrets
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from io import FileIO
from pathlib import Path

from prometheus_client import Counter
from pydantic_core import to_json

from ..terminal import get_logger
from .metrics import registry
from .model import ServedModel
from .rows import Predictions, Row
from .settings import RequestLogSettings

_BUFFER_BYTES = 8_000_000
_FILE_BYTES = 4_000_000
_PAUSE_SECONDS = 0.5
_CLOSING_SECONDS = 2.0

_logger = get_logger(__name__)
_help = "Rows written to the request log, and lost because they could not be"
_counter = Counter("request_log_rows", _help, ["outcome"], registry=registry)


class RequestLog:
    """The log of one worker: a line of JSON for a request, in files `<time>-<worker>.jsonl`.

    `maximum_bytes` bounds all files of the folder together, those of other workers too; the oldest go first.
    """

    def __init__(self, settings: RequestLogSettings, folder: Path, sensitive: Collection[str]) -> None:
        self._share = settings.share
        self._maximum_bytes = settings.maximum_bytes
        self._folder = folder
        # The mark may have come after the training, and may have been removed since.
        self._hidden = lru_cache(1)(lambda served: frozenset(sensitive) | served.manifest.table.sensitive)
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._rows = self._lost = 0
        self._file: FileIO | None = None
        self._problem = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        if self._share:
            self._thread.start()

    def record(self, request_id: str, served: ServedModel, rows: list[Row], predictions: Predictions) -> None:
        """Keep a sample of a request's rows, and what was answered; from any thread."""
        places = [place for place in range(len(rows)) if random.random() < self._share]  # noqa: S311 - a sample
        if not places:
            return
        hidden = self._hidden(served)
        kept = [rows[place] for place in places]
        if hidden:
            kept = [{name: value for name, value in row.items() if name not in hidden} for row in kept]
        line = {
            "id": request_id,
            "at": time.time(),
            "version": served.version,
            "places": None if len(places) == len(rows) else places,
            "rows": kept,
            "predictions": None if served.manifest.table.target in hidden else [predictions[place] for place in places],
        }
        self._put(to_json(line) + b"\n", len(places))

    def close(self) -> None:
        """Write what is left; gives up after two seconds if the disk does not answer."""
        self._stopping.set()
        if self._share:
            self._thread.join(_CLOSING_SECONDS)

    def _put(self, line: bytes, rows: int) -> None:
        with self._lock:
            if len(self._buffer) + len(line) > min(_BUFFER_BYTES, self._maximum_bytes // 2):
                self._lost += rows
            else:
                self._buffer += line
                self._rows += rows

    def _run(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            self._flush()
        self._flush()
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        with self._lock:
            content, self._buffer = bytes(self._buffer), bytearray()
            rows, lost, self._rows, self._lost = self._rows, self._lost, 0, 0
        try:
            if content:
                self._write(content)
        except Exception as error:
            # Whatever it is, it must end neither this thread nor the server.
            rows, lost = 0, lost + rows
            if str(error) != self._problem:
                _logger.warning("Requests are answered but not logged: %s", error)
            self._problem = str(error)
        if rows:
            self._problem = ""
            _counter.labels("written").inc(rows)
        if lost:
            _counter.labels("lost").inc(lost)

    def _write(self, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(len(content))
        file = self._open()
        size = os.fstat(file.fileno()).st_size
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            # Half a line would damage the one that follows it.
            with suppress(OSError):
                file.truncate(size)
            raise

    def _open(self) -> FileIO:
        """The file of this worker: a new one where it is full, or was dropped by another worker."""
        if self._file is not None:
            status = os.fstat(self._file.fileno())
            if status.st_nlink and status.st_size < min(_FILE_BYTES, self._maximum_bytes // 8):
                return self._file
            self._file.close()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self._file = FileIO(self._folder / f"{stamp}-{os.getpid()}{secrets.token_hex(3)}.jsonl", "a")
        return self._file

    def _make_room(self, wanted: int) -> None:
        """Drop the oldest files until so many bytes fit."""
        stored = []
        for path in self._folder.glob("*.jsonl*"):
            # Another worker may have removed it since.
            with suppress(FileNotFoundError):
                status = path.stat()
                stored.append((status.st_mtime, status.st_size, path))
        used = sum(size for _, size, _ in stored)
        for _, size, path in sorted(stored):
            if used + wanted <= self._maximum_bytes:
                break
            path.unlink(missing_ok=True)
            used -= size
