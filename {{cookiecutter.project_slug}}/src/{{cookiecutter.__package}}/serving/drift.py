"""What `monitor` found last, shown among the metrics."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .metrics import registry


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
