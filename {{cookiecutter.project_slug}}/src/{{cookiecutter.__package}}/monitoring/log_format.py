"""The files of the request log, as the API writes them and `monitor` reads them.

A segment has one JSON object a line: `id` of the row, `at` (seconds since 1970, UTC), `version`,
`row` (features by name) and `prediction`, as the API answered it or null.
"""

OPEN = ".open"
"""Suffix of a segment that a worker appends to."""

CLOSED = ".jsonl"
"""Suffix of a segment that is finished."""

PACKED = ".parquet"
"""Suffix of segments that `monitor` packed, one file a version: `<version>-<first segment>.parquet`."""

ABANDONED_SECONDS = 3600.0
"""A segment that is open and was not written to for so long belongs to a worker that is gone."""
