"""Counts for Prometheus; a metric of your own takes `registry=registry`."""

from functools import cache
from typing import Any

import numpy as np
import prometheus_client as prometheus

from ..modeling.manifest import Manifest

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_POWERS_OF_TEN = [10.0**power for power in range(-3, 10)]

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
_values: list[prometheus.Histogram] = []


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
            _values[0].observe(prediction["value"])


def show_model(manifest: Manifest) -> None:
    """Count a version as loaded, and show it as the one that is served."""
    if not manifest.labels and not _values:
        target, unit = manifest.table.columns[manifest.table.target], "Values predicted, in the target's unit"
        buckets = [-power for power in reversed(_POWERS_OF_TEN)] + [0.0, *_POWERS_OF_TEN]
        if target.minimum is not None and target.maximum is not None and target.minimum < target.maximum:
            buckets = np.linspace(target.minimum, target.maximum, 21).tolist()
        _values.append(prometheus.Histogram("prediction_value", unit, buckets=buckets, registry=registry))
    _info.clear()
    _info.labels(manifest.version, manifest.estimator).set(1)
    loads.labels("loaded").inc()
