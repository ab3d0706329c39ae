"""What `monitor` found last, shown among the metrics."""

import json
from collections.abc import Iterator
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
        try:
            verdict = json.loads(self.file.read_bytes()) if self.file else {}
            at = datetime.fromisoformat(verdict["at"]).timestamp()
            found, rows, count = verdict["drift"], verdict["rows"], len(verdict["findings"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        yield GaugeMetricFamily("drift_detected", "1 where the last `monitor` found drift", value=found)
        yield GaugeMetricFamily("drift_findings", "Changes that it found", value=count)
        yield GaugeMetricFamily("drift_rows", "Rows that it compared", value=rows)
        yield GaugeMetricFamily("drift_checked_timestamp_seconds", "When it ran, in seconds since 1970", value=at)


collector = DriftCollector()
registry.register(collector)
