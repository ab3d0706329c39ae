"""Counts for Prometheus, right with one worker and with several.

Several workers share the folder that the environment variable `PROMETHEUS_MULTIPROC_DIR` names; it
has to be set before this module is imported. A metric of your own takes `registry=registry`.
"""

import os
from functools import cache

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
from .rows import Predictions

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
METRICS_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_POWERS_OF_TEN = tuple(10.0**power for power in range(-3, 10))
_VALUE_STEPS = 20

disable_created_metrics()  # type: ignore[no-untyped-call]
registry = CollectorRegistry()
_requests = Counter("http_requests", "Requests answered, by route and status", ["route", "status"], registry=registry)
_took = "Time from the whole request to the answer"
_seconds = Histogram("http_request_duration_seconds", _took, ["route"], buckets=_SECONDS, registry=registry)
_labels = Counter("predictions", "Rows predicted, by label", ["label"], registry=registry)
_loads = Counter("model_loads", "Versions loaded, and refused as damaged", ["outcome"], registry=registry)
_shown = "1 for the version that is served"
_info = Gauge("model_info", _shown, ["version", "estimator"], multiprocess_mode="mostrecent", registry=registry)
# Looking up a child by its labels costs more than counting.
_request_counter, _timer, _label_counter = cache(_requests.labels), cache(_seconds.labels), cache(_labels.labels)
_values: list[Histogram] = []
_served: list[tuple[str, str]] = []


def count_request(route: str, status: int, seconds: float) -> None:
    """Count one answer and how long it took; `route` is a path of the API, or a name for all others."""
    _request_counter(route, status).inc()
    _timer(route).observe(seconds)


def count_predictions(predictions: Predictions) -> None:
    """Count the labels, or record the values, of one answer."""
    for prediction in predictions:
        if "label" in prediction:
            _label_counter(prediction["label"]).inc()
        else:
            _values[0].observe(prediction["value"])


def show_model(manifest: Manifest, version: str) -> None:
    """Count a version as loaded, and show it as the one that is served."""
    for label in manifest.labels:
        _label_counter(label)
    if not manifest.labels and not _values:
        unit, buckets = "Values predicted, in the target's unit", _value_buckets(manifest)
        _values.append(Histogram("prediction_value", unit, buckets=buckets, registry=registry))
    while _served:
        _info.labels(*_served.pop()).set(0)
    _served.append((version, manifest.estimator))
    _info.labels(*_served[0]).set(1)
    _loads.labels("loaded").inc()


def count_refused_model() -> None:
    """Count a version that was not loaded."""
    _loads.labels("refused").inc()


def render() -> bytes:
    """All workers' counts, in Prometheus's text format."""
    if MULTIPROCESS_VARIABLE not in os.environ:
        return generate_latest(registry)
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
