"""Counts for Prometheus; a metric of your own takes `registry=registry`."""

from functools import cache
from typing import Any

import prometheus_client as prometheus

from ..modeling.manifest import Manifest

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_VALUES = [digit * 10.0**power for power in range(-3, 9) for digit in (1, 2, 5)]

prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
registry = prometheus.CollectorRegistry()
_answers, _took = "Requests answered, by route and status", "Time from the whole request to the answer"
_requests = prometheus.Counter("http_requests", _answers, ["route", "status"], registry=registry)
_seconds = prometheus.Histogram("http_request_duration_seconds", _took, ["route"], buckets=_SECONDS, registry=registry)
_labels = prometheus.Counter("predictions", "Rows predicted, by label", ["label"], registry=registry)
loads = prometheus.Counter("model_loads", "Versions loaded, and refused", ["outcome"], registry=registry)
_info = prometheus.Gauge("model_info", "The version that is served", ["version", "estimator"], registry=registry)
# Looking up a child by its labels costs more than counting.
_request_counter, _timer, _label_counter = cache(_requests.labels), cache(_seconds.labels), cache(_labels.labels)


def count_request(route: str | None, status: int, seconds: float) -> None:
    """Count one answer and how long it took; `route` is a path of the API, None for all that it does not have."""
    route = route or "other"
    _request_counter(route, status).inc()
    _timer(route).observe(seconds)


def count_predictions(predictions: list[dict[str, Any]]) -> None:
    """Count the labels, or record the values, of one answer."""
    for prediction in predictions:
        if "label" in prediction:
            _label_counter(prediction["label"]).inc()
        else:
            _value_histogram().observe(prediction["value"])


@cache  # made where there are values alone
def _value_histogram() -> prometheus.Histogram:
    buckets = [*(-value for value in reversed(_VALUES)), 0.0, *_VALUES]
    said = "Values predicted, in the target's unit"
    return prometheus.Histogram("prediction_value", said, buckets=buckets, registry=registry)


def show_model(manifest: Manifest) -> None:
    """Count a version as loaded, and show it as the one that is served."""
    _info.clear()
    _info.labels(manifest.version, manifest.estimator).set(1)
    loads.labels("loaded").inc()
