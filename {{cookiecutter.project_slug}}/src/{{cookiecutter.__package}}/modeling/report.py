"""What `evaluate` found, for people: a page, which asks the network for nothing, and the model card."""

from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic import BaseModel

from ..config import Project
from ..errors import ProjectError
from ..files import hash_file, write_bytes
from .baselines import Baseline
from .gate import INTERVAL_DRAWS, PairedComparison
from .manifest import MANIFEST_FILE, GateRecord, Manifest
from .metrics import find_metric
from .registry import Registry

METRICS_FILE = "metrics.json"
PREDICTIONS_TABLE, SLICES_TABLE = "test_predictions.csv", "slices.csv"
IMPORTANCE_TABLE = "permutation_importance.csv"

# What few real tables let a model reach.
_TOO_GOOD = {"roc_auc": 0.99, "r2": 0.99}
_CAPTIONS = {
    "confusion_matrix": "Which label was taken for which.",
    "calibration": "On the dashed line, a probability of 0.7 comes true in 7 of 10 rows.",
    "roc_precision_recall": "How well the probabilities rank the rows.",
    "predicted_values": "On the dashed line, the prediction is the truth.",
    "residuals": "A good model leaves no shape here: as much above as below, from left to right.",
    "permutation_importance": "What the model looks at: how much it loses without a column.",
}


class Evaluation(BaseModel, frozen=True):
    """Metrics by split, the middle 95% of each test metric, and the hashes of the candidate's manifest and its data.

    `baselines` has the test metrics of others, and how the candidate compares with them by `metric`, the gate's;
    `remark` is what may surprise.
    """

    candidate: str
    data: str
    rows: dict[str, int]
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, tuple[float, float]]
    metric: str
    baselines: dict[str, Baseline]
    remark: str = ""


@dataclass(frozen=True)
class Comparison:
    """What the gate would say of the candidate, and what for.

    `metrics` has each metric of candidate and `latest`, `slices` what the gate's is of both (or of the candidate alone)
    by column, value and number of rows; all of it on the present test rows.
    """

    verdict: GateRecord
    latest: str | None
    compared: PairedComparison | None
    is_same: bool
    metrics: dict[str, PairedComparison]
    slices: list[tuple[str, str, int, list[float]]]

    def summarize(self) -> str:
        """What would become of the candidate, for the terminal."""
        if self.is_same:
            return f"Nothing new: the same data and settings gave the model that {self.latest} is."
        reasons = self.verdict.reasons
        return "\n".join(["The gate would refuse:", *reasons] if reasons else ["It would pass."])


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
    return [(name, *(2 + 96 * (span - low) / (high - low or 1)).round(2).tolist()) for name, span in known.items()]


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    line_statement_prefix="%",
    keep_trailing_newline=True,
)
_TEMPLATES.globals["zip"] = zip
_TEMPLATES.filters |= {"show": _show, "bars": _place_bars, "cell": lambda value: _show(value).replace("|", "&#124;")}
_TEMPLATES.filters["base64"] = lambda path: b64encode(path.read_bytes()).decode()


def read_evaluation(project: Project) -> Evaluation:
    """The evaluation of the present candidate. Raises ProjectError where none was made since the last `train`."""
    try:
        evaluation = Evaluation.model_validate_json((project.reports / METRICS_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise ProjectError("The candidate was not evaluated; run the `evaluate` stage first.") from error
    if evaluation.candidate != hash_file(project.candidate / MANIFEST_FILE):
        raise ProjectError("The candidate changed since it was evaluated; run the `evaluate` stage again.")
    if evaluation.metric != project.model.gate.metric:
        raise ProjectError("gate.metric changed since the candidate was evaluated; run the `evaluate` stage again.")
    return evaluation


def find_pictures(project: Project) -> dict[Path, str]:
    """The pictures that the page shows and a version keeps, where the task has them, and what they say."""
    paths = {project.figures / f"{name}.png": caption for name, caption in _CAPTIONS.items()}
    return {path: caption for path, caption in paths.items() if path.is_file()}


def explain_success(metrics: dict[str, float], importance: pl.DataFrame) -> str:
    """A hint where the candidate is so good that it may have been told the answer; else nothing."""
    for name, value in metrics.items():
        if value >= _TOO_GOOD.get(name, np.inf) and importance.height:
            return (
                f"Test {name} is {value:.4f}. If this surprises you, look first at {importance['column'][0]!r}, "
                "on which the model leans most: is it known before the answer is?"
            )
    return ""


def write_page(project: Project, manifest: Manifest, evaluation: Evaluation, tables: dict[str, pl.DataFrame]) -> None:
    """Write the page of a measured candidate; its pictures are those in `reports/figures/evaluation`."""
    schema, registry = project.schema, Registry(project.models)
    latest: Manifest | None = None
    with suppress(ProjectError):  # what is wrong with it is for `promote` to say
        latest = registry.manifest(version) if (version := registry.latest()) else None
    page = _TEMPLATES.get_template("evaluation.html").render(
        manifest=manifest,
        settings=project.model,
        metric=find_metric(schema, project.model),
        evaluation=evaluation,
        latest=latest,
        pictures=find_pictures(project),
        slices=tables[SLICES_TABLE],
        importance=tables[IMPORTANCE_TABLE],
        wrong=_find_most_wrong(tables[PREDICTIONS_TABLE], schema.labels),
        is_shown=schema.target not in schema.sensitive,
    )
    write_bytes(project.reports / "evaluation.html", page.encode())


def write_card(
    project: Project, manifest: Manifest, evaluation: Evaluation, compared: PairedComparison | None, path: Path
) -> None:
    """Write a version's card (Mitchell and others, Model Cards, 2019); its pictures lie in `figures` beside it."""
    names = {"By slice": SLICES_TABLE, "What it looks at": IMPORTANCE_TABLE}
    paths = {title: project.reports / "tables" / name for title, name in names.items()}
    tables = {title: pl.read_csv(table) for title, table in paths.items() if table.is_file()}
    card = _TEMPLATES.get_template("model_card.md.jinja").render(
        manifest=manifest,
        settings=project.model.card,
        draws=INTERVAL_DRAWS,
        tables=tables,
        evaluation=evaluation,
        pictures=find_pictures(project),
        compared=compared,
    )
    write_bytes(path, card.encode())


def write_comparison(project: Project, manifest: Manifest, evaluation: Evaluation, comparison: Comparison) -> None:
    """Write reports/comparison.md, which fits into a comment on a pull request."""
    text = _TEMPLATES.get_template("comparison.md.jinja").render(
        manifest=manifest,
        evaluation=evaluation,
        comparison=comparison,
        pictures=find_pictures(project),
        settings=project.model,
    )
    write_bytes(project.reports / "comparison.md", text.encode())


def _find_most_wrong(predictions: pl.DataFrame, labels: tuple[str, ...]) -> pl.DataFrame:
    """The test rows whose truth was least likely, or, for a regression, furthest from the prediction."""
    error = (pl.col("prediction") - pl.col("truth")).alias("error")
    if labels:
        likelihood = (pl.when(pl.col("truth") == label).then(pl.col(f"probability {label}")) for label in labels)
        error = pl.coalesce(likelihood).alias("probability of the truth")
    worst = predictions.sort(error.abs(), descending=not labels).head(10).with_columns(error)
    return worst.drop(f"probability {label}" for label in labels)
