"""`reports/evaluation.html`: a candidate on one page, for people, which asks the network for nothing."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from ..config import Project
from ..errors import ProjectError
from ..files import write_bytes
from .manifest import Manifest
from .metrics import find_metric
from .registry import Registry

PAGE_FILE = "evaluation.html"

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


@dataclass(frozen=True)
class Report:
    """What `evaluate` found: the candidate's manifest, metrics by split, intervals of those of the test, tables."""

    manifest: Manifest
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, tuple[float, float]]
    predictions: pl.DataFrame
    slices: pl.DataFrame
    importance: pl.DataFrame


def render_template(name: str, **values: Any) -> str:
    """A template of this folder with values in it, which are escaped where it is HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        line_statement_prefix="%",
        keep_trailing_newline=True,
    )
    environment.filters |= {"show": _show, "cell": lambda value: _show(value).replace("|", "&#124;")}
    return environment.get_template(name).render(**values)


def write_report(project: Project, report: Report) -> None:
    """Write the page; its pictures are those in `reports/figures/evaluation`, where they are."""
    gate, schema = project.model.gate, project.schema
    metric, value = find_metric(schema.task, gate.metric), report.metrics["test"][gate.metric]
    interval, latest = report.intervals.get(gate.metric), _find_latest(project)
    latest_value = latest.metrics["test"].get(gate.metric) if latest else None
    spans = {"interval": interval, "minimum": gate.minimum, "latest": latest_value, "value": value}
    pictures = {name: project.figures / f"{name}.png" for name in _CAPTIONS}
    page = render_template(
        PAGE_FILE,
        report=report,
        manifest=report.manifest,
        settings=project.model,
        value=value,
        interval=interval,
        is_reached=metric.reaches(value, gate.minimum),
        greater_is_better=metric.greater_is_better,
        latest=latest,
        latest_value=latest_value,
        bars=_place_bars(spans),
        pictures=[(name, _CAPTIONS[name], _encode(path)) for name, path in pictures.items() if path.is_file()],
        wrong=_find_most_wrong(report.predictions, schema.labels),
        is_shown=schema.target not in schema.sensitive,
    )
    write_bytes(project.reports / PAGE_FILE, page.encode())


def _place_bars(spans: dict[str, float | tuple[float, float] | None]) -> list[tuple[str, float, float]]:
    """Where the numbers and the intervals that there are begin and end on a scale, in percent of its width."""
    known = {
        name: np.broadcast_to(span, 2) for name, span in spans.items() if span is not None and np.all(np.isfinite(span))
    }
    low, high = np.min(list(known.values())), np.max(list(known.values()))
    places = {name: 2 + 96 * (span - low) / (high - low or 1) for name, span in known.items()}
    return [(name, round(float(left), 2), round(float(right), 2)) for name, (left, right) in places.items()]


def _encode(picture: Path) -> str:
    return base64.b64encode(picture.read_bytes()).decode()


def _find_latest(project: Project) -> Manifest | None:
    registry = Registry(project.models)
    try:
        version = registry.latest()
        return registry.manifest(version) if version else None
    except ProjectError:  # what is wrong with it is for `promote` to say
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


def _show(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
