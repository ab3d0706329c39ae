"""The window against the reference: one check after another, and which of them are findings."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.validation import RuleKind
from ..modeling.dataset import choose_labels
from ..modeling.manifest import Manifest
from ..schema import Column
from . import statistics
from .reference import (
    CategoryCounts,
    NumberCounts,
    Reference,
    absolute_errors,
    category_codes,
    category_names,
    count_between,
    count_categories,
    round_scores,
)
from .settings import MonitoringSettings
from .window import Window

PREDICTION = "prediction"
PERFORMANCE = "performance"

_BROKEN: dict[RuleKind, str] = {
    "type": "unreadable",
    "missing": "missing",
    "minimum": "out of range",
    "maximum": "out of range",
    "category": "unseen category",
}


@dataclass(frozen=True)
class Check:
    """One comparison.

    `effect` is a population stability index or a change in the share of rows, and has to reach
    `limit`. `p_value` is of this check alone, `adjusted_p_value` accounts for all checks of the run.
    """

    subject: str
    kind: str
    test: str
    statistic: float
    effect: float
    limit: float
    p_value: float
    detail: str
    adjusted_p_value: float = 1.0
    is_drift: bool = False

    @property
    def finding(self) -> str:
        """The name under which an alarm is remembered."""
        return f"{self.subject}: {self.kind}"


@dataclass(frozen=True)
class Pair:
    """Rows of the reference and of the window in the same steps or categories, for the pictures.

    `edges` are the upper ends of the steps but the last one, which is open; None for categories.
    """

    subject: str
    names: tuple[str, ...]
    edges: tuple[float, ...] | None
    reference: NDArray[np.int64]
    window: NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """All checks, in the schema's order, and the distributions that they compared."""

    checks: list[Check]
    pairs: list[Pair]

    @property
    def findings(self) -> list[Check]:
        """The checks that found drift."""
        return [check for check in self.checks if check.is_drift]


def compare(reference: Reference, manifest: Manifest, window: Window, settings: MonitoringSettings) -> Comparison:
    """Compare a window with the reference of the version that `manifest` describes.

    With Holm's correction over all checks, the chance that any check calls drift on rows like the
    training rows is at most `settings.false_alarm_rate`.
    """
    comparing = _Comparing(reference, manifest, window, settings)
    checks = list(comparing.run())
    adjusted = statistics.adjust([check.p_value for check in checks])
    return Comparison(
        [
            replace(
                check,
                adjusted_p_value=p_value,
                is_drift=p_value <= settings.false_alarm_rate and check.effect >= check.limit,
            )
            for check, p_value in zip(checks, adjusted, strict=True)
        ],
        comparing.pairs,
    )


class _Comparing:
    """One run over the columns; collects the pairs on the way."""

    def __init__(self, reference: Reference, manifest: Manifest, window: Window, settings: MonitoringSettings) -> None:
        self.pairs: list[Pair] = []
        self._reference = reference
        self._manifest = manifest
        self._window = window
        self._settings = settings

    def run(self) -> Iterator[Check]:
        for name, column in self._manifest.table.features.items():
            if name in self._reference.numbers:
                counts = self._reference.numbers[name]
                yield from self._numbers(name, counts, self._window.columns[name])
            elif name in self._reference.categories:
                codes = category_codes(column, self._window.columns[name])
                found = count_categories(codes, category_names(column))
                yield from self._categories(name, self._reference.categories[name], found)
            if not column.sensitive:
                yield from self._broken(name)
                yield from self._missing(name, column)
        yield from self._predictions()
        yield from self._performance()

    def _numbers(self, name: str, counts: NumberCounts, values: NDArray[np.float64]) -> Iterator[Check]:
        present = values[~np.isnan(values)]
        if not counts.rows or not len(present):
            return
        reference, window = self._pair_numbers(name, counts, present)
        distance, p_value = statistics.kolmogorov_smirnov(reference, window)
        psi = statistics.stability_index(*statistics.merge_steps(reference, window))
        yield self._distribution(name, "Kolmogorov-Smirnov", distance, psi, p_value)
        below, above = int(window[0]), int(window[-1])
        tails = [statistics.exceedance(counts.rows, len(present), beyond) for beyond in (below, above)]
        yield Check(
            subject=name,
            kind="out of range",
            test="exceedance",
            statistic=below + above,
            effect=(below + above) / len(present),
            limit=self._settings.minimum_share,
            p_value=min(1.0, 2 * min(tails)),
            detail=f"{below} below {counts.edges[0]:g}, {above} above {counts.edges[-1]:g}, of {len(present)}",
        )

    def _categories(self, name: str, counts: CategoryCounts, found: CategoryCounts) -> Iterator[Check]:
        if not counts.rows or not found.rows:
            return
        reference, window = self._pair_categories(name, counts, found)
        yield self._chi_square(name, reference, window)
        unseen = {each: rows for each, rows in found.counts.items() if rows and not counts.counts[each]}
        candidates = np.count_nonzero(reference + window)
        tails = [statistics.exceedance(counts.rows, found.rows, rows) for rows in unseen.values()]
        shown = ", ".join(f"{each} ({rows})" for each, rows in list(unseen.items())[:5])
        yield Check(
            subject=name,
            kind="unseen category",
            test="exceedance",
            statistic=sum(unseen.values()),
            effect=sum(unseen.values()) / found.rows,
            limit=self._settings.minimum_share,
            p_value=min(1.0, candidates * min(tails, default=1.0)),
            detail=f"{shown or 'none'}, of {found.rows}",
        )

    def _missing(self, name: str, column: Column) -> Iterator[Check]:
        counts = self._reference.numbers.get(name) or self._reference.categories.get(name)
        if counts is None or not column.nullable or not self._window.valid_rows:
            return
        values = self._window.columns[name]
        missing = int(np.count_nonzero(values < 0 if column.type == "category" else np.isnan(values)))
        if not missing + counts.missing:
            return
        of_reference, of_window = counts.rows + counts.missing, len(values)
        was, now = counts.missing / of_reference, missing / of_window
        yield Check(
            subject=name,
            kind="missing",
            test="Fisher",
            statistic=missing,
            effect=abs(now - was),
            limit=self._settings.minimum_share,
            p_value=statistics.share_change(counts.missing, of_reference, missing, of_window, rise_only=False),
            detail=f"{was:.1%} -> {now:.1%} missing",
        )

    def _broken(self, name: str) -> Iterator[Check]:
        """Rows that break the schema in this column, against all rows that `data` rejected."""
        if self._window.broken is None:
            return
        rules = self._window.broken.get(name, {})
        rows = max(rules.values(), default=0)
        data = self._manifest.data
        total = data.rejected + sum(data.rows.values())
        worst = max(rules.items(), key=lambda rule: rule[1])[0] if rules else None
        yield Check(
            subject=name,
            kind=_BROKEN[worst] if worst else "breaks the schema",
            test="Fisher",
            statistic=rows,
            effect=rows / self._window.rows - data.rejected / total,
            limit=self._settings.minimum_share,
            p_value=statistics.share_change(data.rejected, total, rows, self._window.rows, rise_only=True),
            detail=", ".join(f"{count} {_BROKEN[kind]}" for kind, count in rules.items()) or "none",
        )

    def _predictions(self) -> Iterator[Check]:
        scores = self._window.scores
        if scores is None:
            return
        predicted = self._reference.predictions
        if isinstance(predicted, NumberCounts):
            yield self._scores(PREDICTION, predicted, round_scores(scores))
            return
        found = count_categories(scores.argmax(axis=1), self._manifest.labels)
        yield self._chi_square(PREDICTION, *self._pair_categories(PREDICTION, predicted, found))
        if self._reference.confidence is not None:
            highest = round_scores(scores.max(axis=1))
            yield self._scores("probability of the prediction", self._reference.confidence, highest)

    def _performance(self) -> Iterator[Check]:
        scores, truth = self._window.scores, self._window.truth
        if scores is None or truth is None or not len(truth.rows):
            return
        if self._reference.errors is not None:
            errors = absolute_errors(round_scores(scores[truth.rows]), truth.values)
            reference, window = self._pair_numbers("absolute error", self._reference.errors, errors)
            distance, p_value = statistics.kolmogorov_smirnov(reference, window, greater=True)
            psi = statistics.stability_index(*statistics.merge_steps(reference, window))
            check = self._distribution(PERFORMANCE, "Kolmogorov-Smirnov", distance, psi, p_value)
            yield replace(check, kind="larger errors")
        if self._reference.wrong is not None:
            chosen = choose_labels(scores[truth.rows], self._manifest.labels, self._manifest.table)
            wrong = int(np.count_nonzero(chosen != truth.values))
            was, now = self._reference.wrong / self._reference.predictions.rows, wrong / len(truth.rows)
            yield Check(
                subject=PERFORMANCE,
                kind="more errors",
                test="Fisher",
                statistic=wrong,
                effect=now - was,
                limit=self._settings.minimum_share,
                p_value=statistics.share_change(
                    self._reference.wrong,
                    self._reference.predictions.rows,
                    wrong,
                    len(truth.rows),
                    rise_only=True,
                ),
                detail=f"{was:.1%} -> {now:.1%} wrong",
            )

    def _scores(self, subject: str, counts: NumberCounts, values: NDArray[np.float64]) -> Check:
        reference, window = self._pair_numbers(subject, counts, values)
        distance, p_value = statistics.kolmogorov_smirnov(reference, window)
        psi = statistics.stability_index(*statistics.merge_steps(reference, window))
        return self._distribution(subject, "Kolmogorov-Smirnov", distance, psi, p_value)

    def _chi_square(self, subject: str, reference: NDArray[np.int64], window: NDArray[np.int64]) -> Check:
        statistic, p_value = statistics.chi_square(reference, window)
        psi = statistics.stability_index(reference, window)
        return self._distribution(subject, "chi-square", statistic, psi, p_value)

    def _distribution(self, subject: str, test: str, statistic: float, psi: float, p_value: float) -> Check:
        return Check(
            subject=subject,
            kind="distribution",
            test=test,
            statistic=statistic,
            effect=psi,
            limit=self._settings.minimum_psi,
            p_value=p_value,
            detail=f"PSI {psi:.2f}",
        )

    def _pair_numbers(
        self, subject: str, counts: NumberCounts, values: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        edges = np.array(counts.edges)
        below = int(np.count_nonzero(values < edges[0]))
        first, *others = count_between(values, edges)
        reference = np.array([0, *counts.counts, 0])
        window = np.array([below, first - below, *others])
        self.pairs.append(Pair(subject, (), counts.edges, reference, window))
        return reference, window

    def _pair_categories(
        self, subject: str, counts: CategoryCounts, found: CategoryCounts
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        reference = np.array(list(counts.counts.values()))
        window = np.array([found.counts[name] for name in counts.counts])
        self.pairs.append(Pair(subject, tuple(counts.counts), None, reference, window))
        return reference, window
