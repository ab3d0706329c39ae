"""Files of one worker's log lines: closed after some minutes or megabytes, the oldest dropped over a limit."""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from ..monitoring.log_format import ABANDONED_SECONDS, CLOSED, OPEN, PACKED

_SEGMENT_BYTES = 4_000_000
_SEGMENT_SECONDS = 300


@dataclass(frozen=True)
class _Stored:
    path: Path
    bytes: int
    seconds: float


class SegmentWriter:
    """Appends lines to `<time>-<worker>-<number>.open`, which becomes `.jsonl` when it is full.

    `maximum_bytes` bounds all files of the folder together, those of other workers too.
    """

    def __init__(self, folder: Path, maximum_bytes: int) -> None:
        self._folder = folder
        self._maximum_bytes = maximum_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, maximum_bytes // 8)
        self._worker = f"{os.getpid()}{secrets.token_hex(3)}"
        self._number = 0
        self._file: FileIO | None = None
        self._path = folder
        self._size = 0
        self._opened_at = 0.0
        self.problem = ""

    def write(self, lines: Sequence[bytes]) -> int:
        """Append the lines, in pieces no larger than a segment; how many were written.

        If not all were, `problem` says why.

        Raises:
            OSError: the folder cannot be made or listed, or a segment cannot be opened.
        """
        written = 0
        if self._file is not None and time.monotonic() - self._opened_at > _SEGMENT_SECONDS:
            self.close()
        for piece in self._cut(lines):
            if not self._append(b"".join(piece)):
                return written
            written += len(piece)
        return written

    def close(self) -> None:
        """Close the segment, if there is one, for `monitor` to pack."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            if self._size:
                self._path.rename(self._path.with_suffix(CLOSED))
            else:
                self._path.unlink()

    def _cut(self, lines: Sequence[bytes]) -> Iterator[list[bytes]]:
        piece: list[bytes] = []
        size = 0
        for line in lines:
            if piece and size + len(line) > self._segment_bytes:
                yield piece
                piece, size = [], 0
            piece.append(line)
            size += len(line)
        if piece:
            yield piece

    def _append(self, content: bytes) -> bool:
        if self._size + len(content) > self._segment_bytes:
            self.close()
        if not self._make_room(len(content)):
            return False
        file = self._file or self._open()
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            # Half a line would damage the one that follows it.
            with suppress(OSError):
                file.truncate(self._size)
            self.close()
            self.problem = str(error)
            return False
        self._size += len(content)
        return True

    def _open(self) -> FileIO:
        self._number += 1
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self._path = self._folder / f"{stamp}-{self._worker}-{self._number}{OPEN}"
        self._file = FileIO(self._path, "w")
        self._size = 0
        self._opened_at = time.monotonic()
        return self._file

    def _make_room(self, wanted: int) -> bool:
        """Drop the oldest files until so many bytes fit; whether they do."""
        self._folder.mkdir(parents=True, exist_ok=True)
        stored = sorted(self._list(), key=lambda each: each.seconds)
        used = sum(each.bytes for each in stored)
        for each in stored:
            if used + wanted <= self._maximum_bytes:
                break
            if each.path.suffix != OPEN or time.time() - each.seconds > ABANDONED_SECONDS:
                each.path.unlink(missing_ok=True)
                used -= each.bytes
        if used + wanted > self._maximum_bytes:
            self.problem = "request_log.maximum_bytes of config/serving.yaml is too small"
            return False
        return True

    def _list(self) -> Iterator[_Stored]:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith((CLOSED, OPEN, PACKED)):
                    # Another worker, or `monitor`, may have removed it since.
                    with suppress(FileNotFoundError):
                        status = entry.stat()
                        yield _Stored(Path(entry.path), status.st_size, status.st_mtime)
