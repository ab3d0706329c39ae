"""Requests that were answered, kept for `monitor`, sampled and without sensitive columns; what it found, as metrics.

A request only puts a line into a buffer in memory; a thread writes what came in half a second at once, since one that
wakes for each would slow them all. What does not fit, as the disk is slow, full or gone, is dropped and counted.
"""

import json
import logging
import os
import random
import secrets
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import Field
from pydantic_core import to_json

from ..config import Settings
from .metrics import registry
from .rows import Predictions, Row

_BUFFER_BYTES = 8_000_000
_PAUSE_SECONDS = 0.5
_CLOSING_SECONDS = 2.0

_logger = logging.getLogger(__name__)
_help = "Rows written to the request log, and lost because they could not be"
_counter = Counter("request_log_rows", _help, ["outcome"], registry=registry)


class RequestLogSettings(Settings):
    """Which share of the requests is kept for `monitor`, 0 for none, and in how many bytes at most."""

    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    maximum_bytes: Annotated[int, Field(ge=10_000)] = 100_000_000


class RequestLog:
    """The log of one server: a line of JSON for a request, in files `<time>-<server>.jsonl`.

    `maximum_bytes` bounds all files of the folder together, those of other servers too; the oldest go first.
    """

    def __init__(self, settings: RequestLogSettings, folder: Path, target: str, hidden: Collection[str]) -> None:
        self._settings, self._folder, self._hidden = settings, folder, hidden
        self._keeps_predictions = target not in hidden
        self._limit = min(_BUFFER_BYTES, settings.maximum_bytes // 4)
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._rows = 0
        self._path: Path | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def record(self, request_id: str, version: str, rows: list[Row], predictions: Predictions) -> None:
        """Keep a request, unless chance leaves it out; from any thread."""
        if random.random() >= self._settings.share:  # noqa: S311 - a sample
            return
        if self._hidden:
            rows = [{name: value for name, value in row.items() if name not in self._hidden} for row in rows]
        kept = predictions if self._keeps_predictions else None
        content = {"id": request_id, "at": time.time(), "version": version, "rows": rows, "predictions": kept}
        line = to_json(content) + b"\n"
        with self._lock:
            if len(self._buffer) + len(line) > self._limit:
                _counter.labels("lost").inc(len(rows))
            else:
                self._buffer += line
                self._rows += len(rows)

    def close(self) -> None:
        """Write what is left; gives up after two seconds if the disk does not answer."""
        self._stopping.set()
        self._thread.join(_CLOSING_SECONDS)

    def _run(self) -> None:
        ended, problem = False, ""
        while not ended:
            ended = self._stopping.wait(_PAUSE_SECONDS)
            with self._lock:
                content, rows, self._buffer, self._rows = self._buffer, self._rows, bytearray(), 0
            try:
                if content:
                    self._write(content)
                    problem = ""
                _counter.labels("written").inc(rows)
            except Exception as error:
                # Whatever it is, it must end neither this thread nor the server.
                _counter.labels("lost").inc(rows)
                if str(error) != problem:
                    _logger.warning("Requests are answered but not logged: %s", error)
                problem = str(error)

    def _write(self, content: bytearray) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        used = len(content)
        with suppress(FileNotFoundError):  # another server drops the oldest files at the same time
            for path in sorted(self._folder.glob("*.jsonl*"), key=os.path.getmtime, reverse=True):
                used += path.stat().st_size
                if used > self._settings.maximum_bytes:
                    path.unlink()
        self._path = self._path or self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(6)}.jsonl"
        size = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("ab") as file:
                file.write(content)
        except OSError:
            # Half a line would damage the one that follows it.
            with suppress(OSError):
                os.truncate(self._path, size)
            raise
        if size + len(content) > self._limit // 2:
            self._path = None


class DriftCollector(Collector):
    """Reads `reports/drift.json` whenever it is asked; shows nothing where that is missing or damaged."""

    file: Path | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, as the file says now."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            verdict = json.loads(self.file.read_bytes()) if self.file else {}
            at, count = datetime.fromisoformat(verdict["at"]).timestamp(), len(verdict["findings"])
            yield GaugeMetricFamily("drift_detected", "1 where the last `monitor` found drift", value=verdict["drift"])
            yield GaugeMetricFamily("drift_findings", "Changes that it found", value=count)
            yield GaugeMetricFamily("drift_rows", "Rows that it compared", value=verdict["rows"])
            yield GaugeMetricFamily("drift_checked_timestamp_seconds", "When it ran, in seconds since 1970", value=at)


collector = DriftCollector()
registry.register(collector)
