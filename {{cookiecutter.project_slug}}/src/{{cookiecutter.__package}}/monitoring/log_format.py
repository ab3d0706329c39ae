"""The files of the request log, as the API writes them and `monitor` reads them.

A segment has one JSON object a line, which is a request: its `id`, `at` (seconds since 1970, UTC),
`version`, `rows` (features by name), `predictions`, as the API answered them or null, and `places`:
which rows of the request these are, from 0, or null for all of them. A row's own name is `<id>-<place>`.
"""

OPEN = ".open"
"""Suffix of a segment that a worker appends to."""

CLOSED = ".jsonl"
"""Suffix of a segment that is finished."""

PACKED = ".parquet"
"""Suffix of segments that `monitor` packed, one file a version: `<version>-<first segment>.parquet`."""

ABANDONED_SECONDS = 3600.0
"""A segment that is open and was not written to for so long belongs to a worker that is gone."""
