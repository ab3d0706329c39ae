"""The model card of a version, made from its run (after Mitchell and others, Model Cards, 2019)."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from ..config import Project
from ..files import write_bytes
from .bootstrap import INTERVAL_DRAWS
from .evaluation import IMPORTANCE_TABLE, SLICES_TABLE
from .gate import Verdict
from .manifest import Manifest

FIGURES = (
    "confusion_matrix.png",
    "calibration.png",
    "residuals.png",
    "predicted_values.png",
    "permutation_importance.png",
)
"""The pictures that a version keeps, where its task has them."""


def write_card(project: Project, manifest: Manifest, verdict: Verdict, path: Path) -> None:
    """Write a version's card as Markdown; the pictures it shows lie in `figures` beside it."""
    settings = project.model.card
    table = manifest.table
    lines = [
        f"# {manifest.version}: {manifest.estimator} for {_code(table.target)}",
        "",
        f"A {table.task} of {_code(table.target)}, made on {manifest.created_at}, served by {manifest.runtime}.",
        "",
        "## Intended use",
        "",
        settings.intended_use,
        *(["", "## Limits", "", settings.limits] if settings.limits else []),
        "",
        "## Data",
        "",
        f"Rows: {', '.join(f'{count} {split}' for split, count in manifest.data.rows.items())}; "
        f"{manifest.data.rejected} rejected. sha256 of the raw files and of how they were read: "
        f"`{manifest.data.sha256}`.",
        "",
        *_table(
            ("Column", "Type", "May be missing", "Description"),
            (
                (_code(name), column.type, "yes" if column.nullable else "no", column.description)
                for name, column in table.features.items()
            ),
        ),
        "",
        "## Metrics",
        "",
        "On the test rows, which neither training nor search saw; the interval is the middle 95% of the bootstrap's "
        f"values ({INTERVAL_DRAWS} draws).",
        "",
        *_table(
            ("Metric", "Test", "Interval", "Validation"),
            (
                (
                    name,
                    f"{value:.4f}",
                    _show_interval(manifest.intervals.get(name)),
                    f"{manifest.metrics['validation'][name]:.4f}",
                )
                for name, value in manifest.metrics["test"].items()
            ),
        ),
        *_section("By slice", _read_table(project, SLICES_TABLE)),
        *_section("What it looks at", _read_table(project, IMPORTANCE_TABLE)),
        "",
        "## Pictures",
        "",
        *(
            f"![{name.removesuffix('.png').replace('_', ' ')}](figures/{name})"
            for name in FIGURES
            if (project.figures / name).is_file()
        ),
        "",
        "## Gate",
        "",
        *_describe_gate(manifest, verdict),
        "",
        "## How it was made",
        "",
        f"Seed {manifest.seed}; hyperparameters `{manifest.hyperparameters}`.",
        f"Parity of ONNX with scikit-learn on {manifest.parity.rows} held-out rows: largest difference "
        f"{manifest.parity.largest_difference:.3g}, {manifest.parity.label_changes} labels changed"
        + (f". {manifest.parity.reason}" if manifest.parity.reason else "")
        + ".",
        "",
        *_table(("Package", "Version"), manifest.environment.items()),
        "",
        "With the same raw files, settings and packages, the stages `data` and `train` give the same files.",
        "",
    ]
    write_bytes(path, "\n".join(lines).encode())


def _describe_gate(manifest: Manifest, verdict: Verdict) -> list[str]:
    gate = manifest.gate
    if gate is None:
        return ["Not judged."]
    lines = []
    if verdict.comparison is not None:
        compared = verdict.comparison
        lines.append(
            f"Against {gate.against} on the same {compared.rows} test rows: {gate.metric} {compared.candidate:.4f} "
            f"instead of {compared.champion:.4f}; gain {compared.gain:.4f} (95% of the draws from {compared.low:.4f} "
            f"to {compared.high:.4f}), better in {compared.confidence:.1%} of the draws."
        )
    else:
        lines.append("No other version of this table was there to compare it with.")
    if gate.forced:
        lines += ["", f"The gate refused it, and it was forced: {gate.forced}", ""]
        lines += [f"- {reason}" for reason in gate.reasons]
    else:
        lines.append("It passed.")
    return lines


def _section(title: str, frame: pl.DataFrame) -> list[str]:
    if frame.is_empty():
        return []
    rows = ([_show(value) for value in row] for row in frame.iter_rows())
    return ["", f"## {title}", "", *_table(frame.columns, rows)]


def _read_table(project: Project, name: str) -> pl.DataFrame:
    path = project.reports / "tables" / name
    return pl.read_csv(path) if path.is_file() else pl.DataFrame()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]


def _show(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _show_interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _code(name: str) -> str:
    return f"`{name}`"
