"""Counts for Prometheus, right with one worker and with several.

Several workers share the folder that the environment variable `PROMETHEUS_MULTIPROC_DIR` names; it
has to be set before this module is imported.
"""

import os
from collections.abc import Sequence
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from ..modeling.manifest import Manifest
from .model import Prediction

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
METRICS_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_POWERS_OF_TEN = tuple(10.0**power for power in range(-3, 10))
_VALUE_STEPS = 20


class Metrics:
    """What one worker counts, and the page that shows it together with the other workers' counts."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests", "Requests answered, by route and status", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the whole request to the answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._labels = Counter("predictions", "Rows predicted, by label", ["label"], registry=self._registry)
        self._values: Histogram | None = None
        self._version = Gauge(
            "model_info",
            "1 for the version that is served",
            ["version", "estimator"],
            multiprocess_mode="mostrecent",
            registry=self._registry,
        )
        self._loads = Counter(
            "model_loads",
            "Versions loaded, and refused because they were damaged",
            ["outcome"],
            registry=self._registry,
        )
        self._logged = Counter(
            "request_log_rows",
            "Rows written to the request log, and lost because they could not be",
            ["outcome"],
            registry=self._registry,
        )
        self._served: tuple[str, str] | None = None
        # Looking up a child by its labels costs more than counting.
        self._request_counters: dict[tuple[str, int], Counter] = {}
        self._second_timers: dict[str, Histogram] = {}
        self._label_counters: dict[str, Counter] = {}

    def count_request(self, route: str, status: int) -> None:
        """Count one answer; `route` is one of the service's own paths, or a name for all others."""
        counter = self._request_counters.get((route, status))
        if counter is None:
            counter = self._request_counters[route, status] = self._requests.labels(route, status)
        counter.inc()

    def time_request(self, route: str, seconds: float) -> None:
        """Record how long an answer took."""
        timer = self._second_timers.get(route)
        if timer is None:
            timer = self._second_timers[route] = self._seconds.labels(route)
        timer.observe(seconds)

    def count_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Count the labels, or record the values, of one request's predictions."""
        for prediction in predictions:
            if "label" in prediction:
                self._label_counters[prediction["label"]].inc()
            elif self._values is not None:
                self._values.observe(prediction["value"])

    def serve(self, manifest: Manifest, version: str) -> None:
        """Count a version as loaded, and show it as the one that is served."""
        for label in manifest.labels:
            self._label_counters[label] = self._labels.labels(label)
        if not manifest.labels and self._values is None:
            self._values = Histogram(
                "prediction_value",
                "Values predicted, in the target's unit",
                buckets=_value_buckets(manifest),
                registry=self._registry,
            )
        if self._served is not None:
            self._version.labels(*self._served).set(0)
        self._served = (version, manifest.estimator)
        self._version.labels(*self._served).set(1)
        self._loads.labels("loaded").inc()

    def count_refused_model(self) -> None:
        """Count a version that was not loaded."""
        self._loads.labels("refused").inc()

    def count_logged_rows(self, outcome: Literal["written", "lost"], rows: int) -> None:
        """Count rows that the request log took, or had to drop."""
        self._logged.labels(outcome).inc(rows)

    def render(self) -> bytes:
        """All workers' counts, in Prometheus's text format."""
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _value_buckets(manifest: Manifest) -> tuple[float, ...]:
    """Equal steps over the target's range, or powers of ten where the schema gives it no range."""
    target = manifest.table.columns[manifest.table.target]
    if target.minimum is None or target.maximum is None or target.minimum == target.maximum:
        return (*(-power for power in reversed(_POWERS_OF_TEN)), 0.0, *_POWERS_OF_TEN)
    step = (target.maximum - target.minimum) / _VALUE_STEPS
    return tuple(target.minimum + step * index for index in range(_VALUE_STEPS + 1))
