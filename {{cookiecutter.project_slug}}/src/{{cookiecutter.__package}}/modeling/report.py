"""What `evaluate` found, for people: the page `reports/evaluation.html` and, at promotion, the model card.

The page asks the network for nothing. The card is that of Mitchell and others (Model Cards, 2019).
"""

from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from ..config import Project
from ..errors import ProjectError
from ..files import write_bytes
from .gate import INTERVAL_DRAWS, Verdict
from .manifest import Manifest
from .metrics import find_metric
from .registry import Registry

PREDICTIONS_TABLE, SLICES_TABLE = "test_predictions.csv", "slices.csv"
IMPORTANCE_TABLE = "permutation_importance.csv"

_MOST_WRONG = 10
_CAPTIONS = {
    "confusion_matrix": "Which label was taken for which.",
    "calibration": "On the dashed line, a probability of 0.7 comes true in 7 of 10 rows; below, how many rows tell so.",
    "roc_precision_recall": "How well the probabilities rank the rows, whatever the threshold.",
    "scores": "The further the two groups lie apart, the better the label is told from the rest.",
    "predicted_values": "On the dashed line, the prediction is the truth.",
    "residuals": "A good model leaves no shape here: as much above as below, from left to right.",
    "permutation_importance": "What the model looks at: how much it loses without a column.",
}


def find_pictures(project: Project) -> dict[Path, str]:
    """The pictures that the page shows and a version keeps, where the task has them, and what they say."""
    paths = {project.figures / f"{name}.png": caption for name, caption in _CAPTIONS.items()}
    return {path: caption for path, caption in paths.items() if path.is_file()}


def write_page(project: Project, manifest: Manifest, tables: dict[str, pl.DataFrame]) -> None:
    """Write the page of a measured candidate; its pictures are those in `reports/figures/evaluation`."""
    gate, schema = project.model.gate, project.schema
    latest, pictures = _find_latest(project), find_pictures(project).items()
    value, interval = manifest.metrics["test"][gate.metric], manifest.intervals.get(gate.metric)
    latest_value = latest.metrics["test"].get(gate.metric) if latest else None
    page = _render(
        "evaluation.html",
        manifest=manifest,
        settings=project.model,
        metric=find_metric(schema.task, gate.metric),
        value=value,
        interval=interval,
        latest=latest,
        latest_value=latest_value,
        bars=_place_bars({"interval": interval, "minimum": gate.minimum, "latest": latest_value, "value": value}),
        pictures=[(path.stem, text, b64encode(path.read_bytes()).decode()) for path, text in pictures],
        slices=tables[SLICES_TABLE],
        importance=tables[IMPORTANCE_TABLE],
        wrong=_find_most_wrong(tables[PREDICTIONS_TABLE], schema.labels),
        is_shown=schema.target not in schema.sensitive,
    )
    write_bytes(project.reports / "evaluation.html", page.encode())


def write_card(project: Project, manifest: Manifest, verdict: Verdict, path: Path) -> None:
    """Write a version's card as Markdown; the pictures it shows lie in `figures` beside it."""
    tables = {"By slice": SLICES_TABLE, "What it looks at": IMPORTANCE_TABLE}
    paths = {title: project.reports / "tables" / name for title, name in tables.items()}
    card = _render(
        "model_card.md.jinja",
        manifest=manifest,
        settings=project.model.card,
        draws=INTERVAL_DRAWS,
        tables={title: pl.read_csv(table) for title, table in paths.items() if table.is_file()},
        pictures=[path.stem for path in find_pictures(project)],
        compared=verdict.comparison,
    )
    write_bytes(path, card.encode())


def _render(template: str, **values: Any) -> str:
    """A template of this folder with values in it, which are escaped where it is HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        line_statement_prefix="%",
        keep_trailing_newline=True,
    )
    environment.filters |= {"show": _show, "cell": lambda value: _show(value).replace("|", "&#124;")}
    return environment.get_template(template).render(**values)


def _show(value: object) -> str:
    match value:
        case float():
            return f"{value:.4f}"
        case (float(low), float(high)):
            return f"{low:.4f} to {high:.4f}"
    return "" if value is None else str(value)


def _place_bars(spans: dict[str, float | tuple[float, float] | None]) -> list[tuple[str, float, float]]:
    """Where the numbers and the intervals that there are begin and end on a scale, in percent of its width."""
    ends = {name: np.broadcast_to(span, 2) for name, span in spans.items() if span is not None}
    known = {name: span for name, span in ends.items() if np.isfinite(span).all()}
    low, high = np.min(list(known.values())), np.max(list(known.values()))
    places = {name: (2 + 96 * (span - low) / (high - low or 1)).round(2) for name, span in known.items()}
    return [(name, *place.tolist()) for name, place in places.items()]


def _find_latest(project: Project) -> Manifest | None:
    with suppress(ProjectError):  # what is wrong with it is for `promote` to say
        if version := Registry(project.models).latest():
            return Registry(project.models).manifest(version)
    return None


def _find_most_wrong(predictions: pl.DataFrame, labels: tuple[str, ...]) -> pl.DataFrame:
    """The test rows whose truth was least likely, or, for a regression, furthest from the prediction."""
    if not labels:
        error = (pl.col("prediction") - pl.col("truth")).alias("error")
        return predictions.with_columns(error).sort(pl.col("error").abs(), descending=True).head(_MOST_WRONG)
    given = {label: f"probability {label}" for label in labels}
    likelihood = pl.coalesce(pl.when(pl.col("truth") == label).then(pl.col(name)) for label, name in given.items())
    shown = predictions.with_columns(likelihood.alias("probability of the truth")).drop(given.values())
    return shown.sort("probability of the truth").head(_MOST_WRONG)
