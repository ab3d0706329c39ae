"""Rows that were answered, kept for `monitor`: sampled, without sensitive columns, never in a request's way.

A request only puts lines into a buffer in memory; a thread writes them. What does not fit, since the
disk is slow, full or gone, is dropped and counted.
"""

import itertools
import random
import secrets
import threading
import time
from collections.abc import Collection, Sequence
from multiprocessing.util import Finalize
from pathlib import Path

from pydantic_core import to_json

from ..terminal import get_logger
from .metrics import Metrics
from .model import Prediction, ServedModel
from .requests import Row
from .segments import SegmentWriter
from .settings import RequestLogSettings

REQUEST_ID_HEADER = "X-Request-Id"

_BUFFER_BYTES = 8_000_000
_PAUSE_SECONDS = 0.5
_CLOSING_SECONDS = 2.0

_logger = get_logger(__name__)


class RequestLog:
    """The log of one worker; `record` is called once a request, from any thread."""

    def __init__(
        self, settings: RequestLogSettings, folder: Path, sensitive: Collection[str], metrics: Metrics
    ) -> None:
        self._share = settings.share
        self._sensitive = frozenset(sensitive)
        self._metrics = metrics
        self._writer = SegmentWriter(folder, settings.maximum_bytes)
        self._prefix = f"{secrets.token_hex(6)}-"
        self._numbers = itertools.count(1)
        self._columns: tuple[ServedModel, tuple[str, ...] | None, bool] | None = None
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._rows: list[int] = []
        self._buffered = 0
        self._lost = 0
        self._problem = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)

    def start(self) -> None:
        """Begin to write, until the process ends or `close` is called."""
        self._thread.start()
        # What `atexit` registers is not run in a worker that another process started.
        Finalize(None, self.close, exitpriority=0)

    def close(self) -> None:
        """Write what is left; gives up after two seconds if the disk does not answer."""
        self._stopping.set()
        self._thread.join(_CLOSING_SECONDS)

    def record(self, model: ServedModel, rows: Sequence[Row], predictions: Sequence[Prediction], encoded: bytes) -> str:
        """Keep a sample of a request's rows; the request's identifier, of which `<identifier>-<place>` is a row's.

        `encoded` is the JSON of `predictions`, which the answer needed too.
        """
        request = f"{self._prefix}{next(self._numbers):x}"
        columns, keeps_predictions = self._plan(model)
        places = None
        if self._share < 1:
            places = [place for place in range(len(rows)) if random.random() < self._share]  # noqa: S311 - a sample
            if not places:
                return request
            rows, encoded = [rows[place] for place in places], to_json([predictions[place] for place in places])
        if columns is not None:
            rows = [{name: row.get(name) for name in columns} for row in rows]
        if not keeps_predictions:
            encoded = b"null"
        # Spliced, since encoding the predictions once more costs as much as all the rest.
        head = to_json({"id": request, "at": time.time(), "version": model.version, "places": places, "rows": rows})
        self._put(b'%b,"predictions":%b}\n' % (head[:-1], encoded), len(rows))
        return request

    def _plan(self, model: ServedModel) -> tuple[tuple[str, ...] | None, bool]:
        """The columns to keep, None for all, and whether to keep predictions."""
        if self._columns is None or self._columns[0] is not model:
            table = model.manifest.table
            # The mark may have come after the training, and may have been removed since.
            hidden = self._sensitive | table.sensitive
            kept = tuple(name for name in table.features if name not in hidden)
            columns = kept if len(kept) < len(table.features) else None
            self._columns = (model, columns, table.target not in hidden)
        return self._columns[1:]

    def _put(self, line: bytes, rows: int) -> None:
        with self._lock:
            if self._buffered + len(line) > _BUFFER_BYTES:
                self._lost += rows
                return
            self._lines.append(line)
            self._rows.append(rows)
            self._buffered += len(line)

    def _run(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            self._flush()
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        with self._lock:
            lines, self._lines, self._buffered = self._lines, [], 0
            rows, self._rows = self._rows, []
            lost, self._lost = self._lost, 0
        try:
            written = self._writer.write(lines)
        except Exception as error:
            # Whatever it is, it must end neither this thread nor the server.
            written = 0
            self._report(f"{type(error).__name__}: {error}")
        else:
            self._report("" if written == len(lines) else self._writer.problem)
        lost += sum(rows[written:])
        if written:
            self._metrics.count_logged_rows("written", sum(rows[:written]))
        if lost:
            self._metrics.count_logged_rows("lost", lost)

    def _report(self, problem: str) -> None:
        if problem and problem != self._problem:
            _logger.warning("Requests are answered but not logged: %s", problem)
        self._problem = problem
