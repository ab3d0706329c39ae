"""What is suspicious in a table, and what to do about it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .statistics import ColumnProfile, TableProfile, format_number

FindingKind = Literal[
    "leak", "schema", "imbalance", "rare_class", "duplicates", "missing", "constant", "cardinality", "twins"
]

TITLES: dict[FindingKind, str] = {
    "leak": "Features that may leak the target",
    "schema": "Values outside the schema",
    "imbalance": "Unequal classes",
    "rare_class": "Rare classes",
    "duplicates": "Repeated rows",
    "missing": "Columns with next to no values",
    "constant": "Columns that never change",
    "cardinality": "Columns with many categories",
    "twins": "Columns that tell the same",
}
"""Each kind of finding as users read it, those that spoil a model first."""

NEARLY_ALL_MISSING = 0.9
MANY_CATEGORIES = 50
RARE_CLASS_ROWS = 10
IMBALANCE = 20
DUPLICATES = 0.01
LEAK = 0.95
TWINS = 0.99

_MOST_TWINS = 20


@dataclass(frozen=True)
class Finding:
    """A warning: what it is about, the column where it is about one, and the sentence to read."""

    kind: FindingKind
    column: str | None
    message: str

    def __str__(self) -> str:
        return self.message if self.column is None else f"{self.column}: {self.message}"


def find_suspicious(profile: TableProfile) -> list[Finding]:
    """The warnings on a table."""
    return [
        *_find_leaks(profile),
        *_find_broken_rules(profile),
        *_find_imbalance(profile),
        *_find_duplicates(profile),
        *(finding for column in profile.columns for finding in _inspect_column(column)),
        *_find_twins(profile),
    ]


def _find_leaks(profile: TableProfile) -> Iterator[Finding]:
    for column in profile.columns:
        if column.association >= LEAK:
            yield Finding(
                "leak",
                column.name,
                f"It all but determines the target (association {column.association:.3f}). If it is known only "
                "after the target, give it role: ignored in config/schema.yaml.",
            )


def _find_broken_rules(profile: TableProfile) -> Iterator[Finding]:
    for (column, kind), rows in profile.broken.items():
        share = rows / max(1, profile.sampled)
        yield Finding(
            "schema",
            column,
            f"{rows:,} rows ({share:.2%}) break its rule {kind!r} in config/schema.yaml; `data` rejects them.",
        )


def _find_imbalance(profile: TableProfile) -> Iterator[Finding]:
    if not profile.labels:
        return
    target = profile.target
    classes = profile.class_rows
    present = {label: rows for label, rows in classes.items() if rows}
    for label, rows in classes.items():
        if rows < RARE_CLASS_ROWS:
            yield Finding(
                "rare_class",
                target.name,
                f"Class {label!r} has {rows} of {profile.sampled:,} rows: too few to learn it and to measure it.",
            )
    if len(present) > 1:
        most, least = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
        if present[most] >= IMBALANCE * present[least]:
            yield Finding(
                "imbalance",
                target.name,
                f"Class {most!r} is {present[most] / present[least]:.0f} times as frequent as {least!r}: accuracy says "
                "little here; take balanced_accuracy or roc_auc as gate.metric in config/model.yaml.",
            )


def _find_duplicates(profile: TableProfile) -> Iterator[Finding]:
    if profile.duplicate_share >= DUPLICATES:
        yield Finding(
            "duplicates",
            None,
            f"{profile.duplicate_share:.1%} of the rows repeat another in every column; "
            "validation.duplicates in config/pipeline.yaml says what becomes of them.",
        )


def _inspect_column(column: ColumnProfile) -> Iterator[Finding]:
    if column.role in ("identifier", "ignored"):
        return
    if column.distinct == 0:
        yield Finding(
            "missing", column.name, "It has no value in any row; give it role: ignored in config/schema.yaml."
        )
        return
    if column.missing_share >= NEARLY_ALL_MISSING:
        yield Finding("missing", column.name, f"{column.missing_share:.1%} of its values are missing.")
    if column.distinct == 1:
        yield Finding("constant", column.name, "It has one value in all rows, so that a model learns nothing from it.")
    if column.numbers is None and column.distinct > MANY_CATEGORIES:
        yield Finding(
            "cardinality",
            column.name,
            f"It has {column.distinct:,} categories of about {format_number(column.rows / column.distinct)} rows each, "
            "one feature for each of them. Group them, or give it role: ignored.",
        )


def _find_twins(profile: TableProfile) -> Iterator[Finding]:
    target = profile.schema.target
    for left, right, value in profile.correlations.strongest(_MOST_TWINS):
        if not math.isnan(value) and abs(value) >= TWINS and target not in (left, right):
            yield Finding("twins", left, f"It tells the same as {right!r} (correlation {value:.3f}); one may do.")
