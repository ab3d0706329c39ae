"""The gate: whether a candidate may become `latest`, and every reason why not.

Nothing here reads or writes a file, so that each rule can be tried with made-up models.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import GateSettings
from .bootstrap import PairedComparison, compare_paired
from .metrics import Metric

_SETTINGS = "config/model.yaml"

Slices = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Measured:
    """What the gate knows of a candidate by itself.

    `value` is the gate's metric on the test rows, `latency` milliseconds for one row, `size` the
    bytes that are loaded to serve it.
    """

    value: float
    rows: int
    latency: float
    size: int
    parity_problem: str = ""


@dataclass(frozen=True)
class SliceComparison:
    """Candidate and champion on the rows of one value of one column."""

    column: str
    value: str
    rows: int
    candidate: float
    champion: float


@dataclass(frozen=True)
class Verdict:
    """What the gate says: no reason against it means that the candidate passed."""

    reasons: tuple[str, ...]
    comparison: PairedComparison | None = None
    slices: tuple[SliceComparison, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the candidate may become `latest`."""
        return not self.reasons


def check_alone(settings: GateSettings, metric: Metric, measured: Measured) -> list[str]:
    """The reasons against a candidate that need no other model."""
    reasons = []
    if measured.rows < settings.minimum_rows:
        reasons.append(
            f"{measured.rows} test rows are too few to judge by; gate.minimum_rows of {_SETTINGS} asks for "
            f"{settings.minimum_rows}"
        )
    if not math.isfinite(measured.value):
        reasons.append(f"test {settings.metric} is {measured.value}, which is no number")
    elif not metric.reaches(measured.value, settings.minimum):
        relation = "below" if metric.greater_is_better else "above"
        limit = f"gate.minimum {settings.minimum:g} of {_SETTINGS}"
        reasons.append(f"test {settings.metric} {measured.value:.4f} is {relation} {limit}")
    if not measured.latency <= settings.maximum_latency_ms:
        reasons.append(
            f"a prediction takes {measured.latency:.1f} ms; gate.maximum_latency_ms of {_SETTINGS} allows "
            f"{settings.maximum_latency_ms:g}"
        )
    megabytes = measured.size / 1e6
    if megabytes > settings.maximum_size_mb:
        reasons.append(
            f"the model has {megabytes:.1f} MB; gate.maximum_size_mb of {_SETTINGS} allows {settings.maximum_size_mb:g}"
        )
    if measured.parity_problem:
        reasons.append(
            f"it cannot be served by ONNX: {measured.parity_problem}; parity.required of {_SETTINGS} is true"
        )
    return reasons


def check_against(
    settings: GateSettings,
    metric: Metric,
    truth: NDArray[Any],
    candidate: NDArray[Any],
    champion: NDArray[Any],
    slices: Slices,
    seed: int,
) -> Verdict:
    """Compare a candidate with the champion on the same rows.

    Args:
        settings: the gate.
        metric: the gate's metric.
        truth: what is true of each row, as `metric` takes it.
        candidate: the candidate's scores for these rows.
        champion: the champion's scores for these rows.
        slices: for each declared column, each row's value as text.
        seed: of the bootstrap.
    """
    comparison = compare_paired(metric, truth, candidate, champion, settings.resamples, seed)
    reasons = _judge(settings, comparison)
    compared = tuple(_compare_slices(settings, metric, truth, candidate, champion, slices))
    reasons += [reason for item in compared if (reason := _judge_slice(settings, metric, item))]
    return Verdict(tuple(reasons), comparison, compared)


def _judge(settings: GateSettings, comparison: PairedComparison) -> list[str]:
    numbers = f"{comparison.candidate:.4f} against {comparison.champion:.4f} on the same {comparison.rows} rows"
    if not comparison.gain > 0:
        return [f"test {settings.metric} is not better than that of latest: {numbers}"]
    if not comparison.confidence >= settings.confidence:
        return [
            f"test {settings.metric} is better in {comparison.confidence:.1%} of the bootstrap's draws ({numbers}); "
            f"gate.confidence of {_SETTINGS} asks for {settings.confidence:.1%}"
        ]
    return []


def _compare_slices(
    settings: GateSettings,
    metric: Metric,
    truth: NDArray[Any],
    candidate: NDArray[Any],
    champion: NDArray[Any],
    slices: Slices,
) -> list[SliceComparison]:
    compared = []
    for column, values in slices.items():
        for value in np.unique(values):
            rows = values == value
            if np.count_nonzero(rows) < settings.slices.minimum_rows:
                continue
            compared.append(
                SliceComparison(
                    column=column,
                    value=str(value),
                    rows=int(np.count_nonzero(rows)),
                    candidate=metric.compute(truth[rows], candidate[rows]),
                    champion=metric.compute(truth[rows], champion[rows]),
                )
            )
    return compared


def _judge_slice(settings: GateSettings, metric: Metric, item: SliceComparison) -> str:
    if not math.isfinite(item.champion):
        return ""  # a metric that no model has on these rows, such as the AUC of one class
    loss = (item.champion - item.candidate) * (1 if metric.greater_is_better else -1)
    if loss <= settings.slices.tolerance:
        return ""
    return (
        f"where {item.column} is {item.value!r} ({item.rows} rows), test {settings.metric} goes from "
        f"{item.champion:.4f} to {item.candidate:.4f}; gate.slices.tolerance of {_SETTINGS} allows a loss of "
        f"{settings.slices.tolerance:g}"
    )
