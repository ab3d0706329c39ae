"""The window against the reference of a version: which checks are made."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..modeling.dataset import choose_labels
from ..modeling.manifest import Manifest
from .checks import Check, check_beyond, check_distribution, check_share, settle
from .reference import CategoryCounts, Reference, absolute_errors, round_scores
from .settings import MonitoringSettings
from .window import Window

_PERFORMANCE = "performance"
_CHANGE = "{:.1%} -> {:.1%} "


def compare(reference: Reference, manifest: Manifest, window: Window, settings: MonitoringSettings) -> list[Check]:
    """All checks of a window; the chance that any finds drift in rows like the training rows is `false_alarm_rate`."""
    about = (reference, manifest, window, settings)
    return settle([*_check_columns(*about), *_check_predictions(*about)], settings.false_alarm_rate)


def _check_columns(
    reference: Reference, manifest: Manifest, window: Window, settings: MonitoringSettings
) -> Iterator[Check]:
    data, limit = manifest.data, settings.minimum_share
    rejected = (data.rejected, data.rejected + sum(data.rows.values()))
    for name, column in manifest.table.features.items():
        counts = reference.numbers.get(name) or reference.categories.get(name)
        if counts is None or name not in window.columns:
            continue
        pair = counts.pair(name, window.columns[name])
        before, present = int(pair.reference.sum()), int(pair.window.sum())
        if before and present:
            yield check_distribution(pair, settings.minimum_psi)
            yield check_beyond(pair, limit)
        if window.broken is not None:
            kinds = window.broken.get(name, Counter())
            detail = ", ".join(f"{rows} {kind}" for kind, rows in kinds.items()) or "none"
            [(kind, _)] = kinds.most_common(1) or [("breaks the schema", 0)]
            yield check_share(name, kind, rejected, (kinds.total(), window.rows), limit, detail)
        missing = window.valid_rows - present
        if column.nullable and window.valid_rows and missing + counts.missing:
            shares = (counts.missing, counts.missing + before), (missing, window.valid_rows)
            yield check_share(name, "missing", *shares, limit, f"{_CHANGE}missing", rise_only=False)


def _check_predictions(
    reference: Reference, manifest: Manifest, window: Window, settings: MonitoringSettings
) -> Iterator[Check]:
    scores, minimum_psi = window.scores, settings.minimum_psi
    if scores is None:
        return
    is_label = isinstance(reference.predictions, CategoryCounts)
    values = scores.argmax(axis=1) if is_label else round_scores(scores)
    yield check_distribution(reference.predictions.pair("prediction", values), minimum_psi)
    if reference.confidence is not None:
        highest = round_scores(scores.max(axis=1))
        yield check_distribution(reference.confidence.pair("probability of the prediction", highest), minimum_psi)
    if window.labelled is None:
        return
    scores, truth = window.labelled
    if reference.errors is not None:
        pair = reference.errors.pair("absolute error", absolute_errors(scores, truth))
        check = check_distribution(pair, minimum_psi, larger_only=True)
        yield replace(check, subject=_PERFORMANCE, kind="larger errors")
    if reference.wrong is not None and isinstance(reference.predictions, CategoryCounts):
        wrong = int(np.count_nonzero(choose_labels(scores, manifest.labels, manifest.table) != truth))
        before, after = (reference.wrong, sum(reference.predictions.counts.values())), (wrong, len(truth))
        yield check_share(_PERFORMANCE, "more errors", before, after, settings.minimum_share, f"{_CHANGE}wrong")
