"""The window against the reference of a version: which checks are made, and whether chance explains what they found.

Every p-value is exact or errs to the safe side, so that the rate of false alarms is at most the one that was asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from ..config import MonitoringSettings
from ..features import MISSING_CODE, hash_values, is_missing
from ..modeling.dataset import align_answers
from ..modeling.manifest import Manifest
from ..modeling.model import choose_places
from .reference import Pair, Reference, name_subject, round_scores, watch
from .window import Window


@dataclass
class Check:
    """One comparison; `effect` is the stability index of the distributions in `pair`, else a change in a share."""

    subject: str
    kind: str
    test: str
    statistic: float
    effect: float
    limit: float = field(init=False)  # which the effect has to reach; `settle` says all that is not known before
    p_value: float
    detail: str
    adjusted_p_value: float = field(init=False)
    is_drift: bool = field(init=False)
    pair: Pair | None = None


def settle(checks: list[Check], settings: MonitoringSettings) -> None:
    """Say what drifted; the chance of any where nothing did is at most `false_alarm_rate`.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    largest = 0.0
    for rank, check in enumerate(sorted(checks, key=lambda check: check.p_value)):
        largest = max(largest, min(1.0, check.p_value * (len(checks) - rank)))
        check.limit, check.adjusted_p_value = settings.minimum_psi if check.pair else settings.minimum_share, largest
        check.is_drift = largest <= settings.false_alarm_rate and check.effect >= check.limit


def check_columns(reference: Reference, manifest: Manifest, window: Window) -> Iterator[Check]:
    """What is watched of each column, the rows in which it broke the schema, and those in which it is missing."""
    features, data, valid = reference.numbers | reference.categories, manifest.data, len(window.truth)
    for subject, values in watch(manifest.table, manifest.derived, window.columns).items():
        if subject not in features:
            continue
        known, pair = features[subject], features[subject].pair(subject, values)
        before, present = int(pair.reference.sum()), int(pair.window.sum())
        if before and present:
            yield check_distribution(pair)
            if values.dtype == object:
                new = int((~np.isin(hash_values(values), [MISSING_CODE, *known.known])).sum())
                yield check_share(subject, "unseen value", (known.singles, before), (new, present), "{:.1%} -> {:.1%}")
            elif not pair.names:
                yield check_beyond(pair)
    for name, column in manifest.table.features.items():
        if name not in window.columns or name_subject(name, column) not in features:
            continue
        if window.broken is not None:
            kinds = window.broken[name]
            detail = ", ".join(f"{rows} {kind}" for kind, rows in kinds.items()) or "none"
            [(kind, _)] = kinds.most_common(1) or [("breaks the schema", 0)]
            rejected = (data.rejected, data.rejected + sum(data.rows.values()))
            yield check_share(name, kind, rejected, (kinds.total(), window.rows), detail)
        former, missing = features[name_subject(name, column)], int(np.count_nonzero(is_missing(window.columns[name])))
        takes_more = column.unseen == "take" and bool(column.categories)
        if (column.nullable or takes_more) and valid and missing + former.missing:
            kind = " or ".join(["missing"] * column.nullable + ["unseen category"] * takes_more)
            shares = (former.missing, former.rows), (missing, valid)
            yield check_share(name, kind, *shares, f"{{:.1%}} -> {{:.1%}} {kind}", "two-sided")


def check_predictions(reference: Reference, manifest: Manifest, window: Window) -> Iterator[Check]:
    """What the version predicted, and, where the truth is known, how wrong that was."""
    scores, labels = window.scores, manifest.labels
    if scores is None:
        return
    chosen = choose_places(scores, manifest.weights) if labels else round_scores(scores)
    pair = reference.predictions.pair("prediction", chosen)
    yield check_distribution(pair)
    if reference.confidence is not None:
        highest = round_scores(scores.max(axis=1))
        yield check_distribution(reference.confidence.pair("probability of the prediction", highest))
    if window.labelled is None:
        return
    scores, truth = window.labelled
    if reference.errors is not None:
        errors = reference.errors.pair("absolute error", round_scores(np.abs(truth - round_scores(scores))))
        yield replace(check_distribution(errors, larger_only=True), subject="performance", kind="larger errors")
    if reference.wrong is not None:
        places = choose_places(*align_answers(scores, labels, manifest.weights, manifest.table))
        wrong = int(np.count_nonzero(places != truth))
        shares = (reference.wrong, int(pair.reference.sum())), (wrong, len(truth))
        yield check_share("performance", "more errors", *shares, "{:.1%} -> {:.1%} wrong")


def check_distribution(pair: Pair, larger_only: bool = False) -> Check:
    """Whether the window's values are distributed as the reference's; of numbers, `larger_only` looks one way.

    Categories in which fewer than five rows are expected are counted as one (Cochran, 1954). The steps of numbers can
    only shorten the distance, and ties too, so that its p-value errs to the safe side. The effect is the population
    stability index, sum of (p - q) ln(p / q), with half a row added to each bin.
    """
    bins = np.stack([pair.reference, pair.window])
    totals = bins.sum(axis=1)
    if pair.names:
        table = bins[:, bins.sum(axis=0) > 0]
        rare = table.sum(axis=0) * (totals.min() / totals.sum()) < 5
        if np.count_nonzero(rare) > 1:
            table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
        test, (statistic, p_value) = "chi-square", stats.chi2_contingency(table)[:2]
        if table.shape[1] == 2:
            p_value = stats.fisher_exact(table).pvalue
    else:
        below = np.subtract(*(bins.cumsum(axis=1) / totals[:, np.newaxis]))
        test, statistic = "Kolmogorov-Smirnov", max((below if larger_only else np.abs(below)).max(), 0)
        rows = max(round(totals[0] * totals[1] / totals.sum()), 1)  # as scipy.stats.ks_2samp has it of the rows
        p_value = (stats.ksone if larger_only else stats.kstwo).sf(statistic, rows)
        # Ten bins, which begin where the reference has so many tenths of its rows behind it.
        tenths = (np.cumsum(pair.reference) - pair.reference) * 10 // totals[0]
        starts = np.unique(np.minimum(tenths, 9), return_index=True)[1]
        bins = np.add.reduceat(bins, starts, axis=1)
    expected, found = (bins + 0.5) / (bins + 0.5).sum(axis=1, keepdims=True)
    psi = float(np.sum((found - expected) * np.log(found / expected)))
    return Check(pair.subject, "distribution", test, float(statistic), psi, float(p_value), f"PSI {psi:.2f}", pair)


def check_beyond(pair: Pair) -> Check:
    """Whether numbers lie beyond all those of the reference.

    The exceedance test (Gibbons and Chakraborti, Nonparametric Statistical Inference): were all rows of one
    distribution, each set of them were equally likely to be the extreme one; that is Fisher's test of "none there,
    these here", corrected for the two sides.
    """
    before, rows = int(pair.reference.sum()), int(pair.window.sum())
    below, above = int(pair.window[0]), int(pair.window[-1])
    most = max(below, above)
    p_value = min(1.0, 2 * float(stats.fisher_exact([[most, rows - most], [0, before]], "greater").pvalue))
    detail = f"{below} below {pair.edges[0]:g}, {above} above {pair.edges[-1]:g}, of {rows}"
    return Check(pair.subject, "out of range", "exceedance", below + above, (below + above) / rows, p_value, detail)


def check_share(
    subject: str, kind: str, reference: tuple[int, int], window: tuple[int, int], detail: str, change: str = "greater"
) -> Check:
    """Whether the share of rows, so many of how many, rose, or changed ("two-sided"); `detail` may name both."""
    table = [[rows, total - rows] for rows, total in (window, reference)]
    before, after = reference[0] / reference[1], window[0] / window[1]
    effect = after - before if change == "greater" else abs(after - before)
    p_value = float(stats.fisher_exact(table, change).pvalue)
    return Check(subject, kind, "Fisher", float(window[0]), effect, p_value, detail.format(before, after))
