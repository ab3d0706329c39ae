"""The model card of a version, made from its run (after Mitchell and others, Model Cards, 2019)."""

from pathlib import Path

import polars as pl

from ..config import Project
from ..files import write_bytes
from .evaluation import IMPORTANCE_TABLE, SLICES_TABLE
from .gate import INTERVAL_DRAWS, Verdict
from .manifest import Manifest
from .report import render_template

_TEMPLATE = "model_card.md.jinja"

FIGURES = (
    "confusion_matrix.png",
    "calibration.png",
    "roc_precision_recall.png",
    "scores.png",
    "residuals.png",
    "predicted_values.png",
    "permutation_importance.png",
)
"""The pictures that a version keeps, where its task has them."""


def write_card(project: Project, manifest: Manifest, verdict: Verdict, path: Path) -> None:
    """Write a version's card as Markdown; the pictures it shows lie in `figures` beside it."""
    columns = [
        (f"`{name}`", column.type, "yes" if column.nullable else "no", column.description)
        for name, column in manifest.table.features.items()
    ]
    metrics = [
        (name, value, _show_interval(manifest.intervals.get(name)), manifest.metrics["validation"][name])
        for name, value in manifest.metrics["test"].items()
    ]
    card = render_template(
        _TEMPLATE,
        manifest=manifest,
        settings=project.model.card,
        rows=[f"{count} {split}" for split, count in manifest.data.rows.items()],
        columns=columns,
        draws=INTERVAL_DRAWS,
        metrics=metrics,
        tables={
            "By slice": _read_table(project, SLICES_TABLE),
            "What it looks at": _read_table(project, IMPORTANCE_TABLE),
        },
        pictures=[name for name in FIGURES if (project.figures / name).is_file()],
        gate=manifest.gate,
        compared=verdict.comparison,
    )
    write_bytes(path, card.encode())


def _read_table(project: Project, name: str) -> pl.DataFrame:
    path = project.reports / "tables" / name
    return pl.read_csv(path) if path.is_file() else pl.DataFrame()


def _show_interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
