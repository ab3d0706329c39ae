"""The window against the reference of a version: a test for each thing that is watched, corrected for their number."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import stats

from ..config import Settings
from ..modeling.manifest import Manifest
from .reference import Distribution, watch
from .window import Window

_FEWEST_EXPECTED = 5  # rows of the window in a bin (Cochran, 1954)


class MonitoringSettings(Settings):
    """`config/monitoring.yaml`, which says what each means; a change has to be significant and large enough."""

    window_hours: Annotated[float, Field(gt=0)] = 168
    minimum_rows: Annotated[int, Field(ge=20)] = 50
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    minimum_psi: Annotated[float, Field(ge=0)] = 0.1
    maximum_pictures: Annotated[int, Field(ge=0)] = 20


@dataclass
class Check:
    """Whether rows of the reference and of the window lie in the same bins; `effect` is their stability index."""

    subject: str
    bins: list[str]
    reference: NDArray[np.int64]
    window: NDArray[np.int64]
    statistic: float
    effect: float
    p_value: float
    detail: str
    adjusted_p_value: float = field(init=False)  # `settle` says this and what follows, once all checks are made
    is_drift: bool = field(init=False)


def settle(checks: list[Check], settings: MonitoringSettings) -> None:
    """Say what drifted; the chance of any where nothing did is at most `false_alarm_rate`.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    largest = 0.0
    for rank, check in enumerate(sorted(checks, key=lambda check: check.p_value)):
        largest = max(largest, min(1.0, check.p_value * (len(checks) - rank)))
        check.adjusted_p_value = largest
        check.is_drift = largest <= settings.false_alarm_rate and check.effect >= settings.minimum_psi


def check_window(reference: dict[str, Distribution], manifest: Manifest, window: Window) -> Iterator[Check]:
    """What is watched of the columns, the predictions, and the rows that break the schema."""
    for subject, values in watch(manifest, window.columns, window.scores).items():
        if subject in reference and len(values):
            known = reference[subject]
            yield check_counts(subject, known.bins, np.array(known.counts), known.count(values))
    if window.broken is not None:
        before = np.array([sum(manifest.data.rows.values()), manifest.data.rejected])
        after = np.array([window.rows - window.broken, window.broken])
        yield check_counts("broken rows", ["kept", "broken"], before, after)


def check_counts(subject: str, bins: list[str], reference: NDArray[np.int64], window: NDArray[np.int64]) -> Check:
    """A test of whether two samples are distributed alike over the bins: the chi-square of the likelihood ratio.

    Bins that are rare in the reference are counted as one. The effect is the population stability index, sum of
    (p - q) ln(p / q), with half a row added to each bin.
    """
    both = np.stack([reference, window])
    totals, rare = both.sum(axis=1), reference * min(1, window.sum() / reference.sum()) < _FEWEST_EXPECTED
    table = np.column_stack([both[:, rare].sum(axis=1), both[:, ~rare]])
    statistic, p_value = stats.chi2_contingency(table[:, table.any(axis=0)], lambda_="log-likelihood")[:2]
    before, after = (both + 0.5) / (both + 0.5).sum(axis=1, keepdims=True)
    parts = (after - before) * np.log(after / before)
    most = int(parts.argmax())
    shares = f"{reference[most] / totals[0]:.1%} -> {window[most] / totals[1]:.1%}"
    detail = f"PSI {parts.sum():.2f}; {bins[most]}: {shares}"
    return Check(subject, bins, reference, window, float(statistic), float(parts.sum()), float(p_value), detail)
