"""What `evaluate` and `promote` found, for people: a page, which asks the network for nothing, a card, a comparison."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from ..config import Project
from ..errors import ProjectError
from ..files import hash_file, write_bytes, write_json
from .manifest import MANIFEST_FILE, Comparison, Manifest, Record, Verdict
from .metrics import find_metric

METRICS_FILE = "metrics.json"
PREDICTIONS_TABLE, SLICES_TABLE = "test_predictions.csv", "slices.csv"
IMPORTANCE_TABLE = "permutation_importance.csv"


class Evaluation(Record):
    """What the candidate whose manifest has this hash reached.

    `metrics` are by split, and under "constant" those of the best constant answer on the test rows; `intervals` are
    the middle 95% of the test metrics. `metric` is the gate's, by which `constant` compares.
    """

    candidate: str
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, tuple[float, float]]
    metric: str
    constant: Comparison


@dataclass(frozen=True)
class Section:
    """A part of page, card or comparison: what it says, a table, and pictures."""

    title: str
    sentences: Iterable[str] = ()
    head: Sequence[str] = ()
    rows: Iterable[Iterable[Any]] = ()
    pictures: Sequence[Path] = ()


def read_evaluation(project: Project) -> Evaluation:
    """The evaluation of the present candidate. Raises ProjectError where none was made since the last `train`."""
    try:
        evaluation = Evaluation.model_validate_json((project.reports / METRICS_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise ProjectError("The candidate was not evaluated; run the `evaluate` stage first.") from error
    is_same = evaluation.candidate == hash_file(project.candidate / MANIFEST_FILE)
    if not is_same or evaluation.metric != project.model.gate.metric:
        changed = "gate.metric" if is_same else "The candidate"
        raise ProjectError(f"{changed} changed since it was evaluated; run the `evaluate` stage again.")
    return evaluation


def find_pictures(project: Project) -> list[Path]:
    """The pictures that the page shows and a version keeps."""
    return sorted(project.figures.glob("*.png"))


def write_evaluation(project: Project, manifest: Manifest, evaluation: Evaluation) -> None:
    """Write metrics.json, and the page, whose pictures are those in `reports/figures/evaluation`."""
    write_json(project.reports / METRICS_FILE, evaluation.model_dump())
    gate, value = project.model.gate, evaluation.metrics["test"][evaluation.metric]
    is_reached = find_metric(project.schema, project.model).gain(value, gate.minimum) >= 0
    page = _TEMPLATES.get_template("evaluation.html").render(
        manifest=manifest,
        gate=gate,
        is_reached=is_reached,
        value=value,
        interval=evaluation.intervals.get(gate.metric),
        sections=_describe(project, manifest, evaluation),
    )
    write_bytes(project.reports / "evaluation.html", page.encode())


def write_card(project: Project, manifest: Manifest, evaluation: Evaluation, path: Path) -> None:
    """Write a version's card (Mitchell and others, Model Cards, 2019); its pictures lie in `figures` beside it."""
    card, table, gate = project.model.card, manifest.table, manifest.gate or Verdict(metric=evaluation.metric)
    columns = [
        (f"`{name}`", column.type, "yes" if column.nullable else "no", column.description)
        for name, column in table.features.items()
    ]
    said = f"The gate refused it, and it was forced: {gate.forced}" if gate.forced else "It passed."
    sections = [
        Section("Intended use and limits", (card.intended_use, card.limits)),
        Section("Gate", (said, *(f"- {reason}" for reason in gate.reasons))),
        Section("Data", (), ("Column", "Type", "May be missing", "Description"), columns),
        *_describe(project, manifest, evaluation, gate),
    ]
    _write_markdown(path, f"# {manifest.version}: {manifest.estimator} for `{table.target}`", sections)


def write_comparison(project: Project, title: str, said: str, evaluation: Evaluation, gate: Verdict) -> None:
    """Write reports/comparison.md, which fits into a comment on a pull request."""
    sections = [Section(said, [f"- {reason}" for reason in gate.reasons]), _describe_metrics(evaluation, gate)]
    # By its first line those who comment on a pull request find the former comment.
    _write_markdown(project.reports / "comparison.md", f"<!-- comparison of models -->\n# {title}", sections)


def _describe(
    project: Project, manifest: Manifest, evaluation: Evaluation, gate: Verdict | None = None
) -> list[Section]:
    """What page and card say alike."""
    paths = [project.reports / "tables" / name for name in (SLICES_TABLE, IMPORTANCE_TABLE)]
    slices, importance = (pl.read_csv(path) if path.is_file() else pl.DataFrame() for path in paths)
    shuffled = f"How much {evaluation.metric} loses when a column's values are shuffled, over five times."
    return [
        _describe_metrics(evaluation, gate),
        Section("Pictures", pictures=find_pictures(project)),
        Section("By slice", (), slices.columns, slices.rows()),
        Section("What it looks at", (shuffled,), importance.columns, importance.rows()),
        Section("How it was made", (), ("What", ""), _list_facts(manifest)),
    ]


def _describe_metrics(evaluation: Evaluation, gate: Verdict | None) -> Section:
    gate, split = gate or Verdict(metric=evaluation.metric, compared=(evaluation.constant,)), evaluation.metrics
    sentences = [
        f"Against {each.against} on the same {each.rows} rows: {gate.metric} {each.candidate:.4f} instead of "
        f"{each.other:.4f}; gain {each.gain:.4f} (95% interval {_show(each.interval)}), better with a confidence of "
        f"{each.confidence:.1%}."
        for each in gate.compared
    ]
    others = {"Validation": split["validation"], "Constant": split["constant"]}
    others |= {"latest": gate.metrics} if gate.metrics else {}
    rows = [
        (name, value, evaluation.intervals.get(name), *(each.get(name) for each in others.values()))
        for name, value in split["test"].items()
    ]
    return Section("Metrics", sentences, ("Metric", "Test", "95% interval", *others), rows)


def _list_facts(manifest: Manifest) -> list[tuple[str, object]]:
    data, parity, decided = manifest.data, manifest.parity, zip(manifest.labels, manifest.weights, strict=False)
    onnx = f"{parity.largest_difference:.3g} apart at most on {parity.rows} rows" if parity.rows else "from elsewhere"
    facts: dict[str, object] = {f"{split} rows": rows for split, rows in data.rows.items()}
    facts |= {"rejected rows": data.rejected}
    facts |= {"sha256 of the data": data.sha256, "commit": manifest.commit or "unknown", "seed": manifest.seed}
    facts |= {"ONNX and scikit-learn": onnx} | {f"weight of {label}": weight for label, weight in decided}
    facts |= manifest.hyperparameters | manifest.environment
    return list(facts.items())


def _write_markdown(path: Path, title: str, sections: Iterable[Section]) -> None:
    text = _TEMPLATES.get_template("sections.md.jinja").render(title=title, sections=sections)
    write_bytes(path, text.encode())


def _show(value: object) -> str:
    match value:
        case float():
            return f"{value:.4f}"
        case (float(low), float(high)):
            return f"{low:.4f} to {high:.4f}"
    return "" if value is None else str(value)


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    line_statement_prefix="%",
    keep_trailing_newline=True,
)
_TEMPLATES.filters |= {"show": _show, "cell": lambda value: _show(value).replace("|", "&#124;")}
_TEMPLATES.filters["base64"] = lambda path: b64encode(path.read_bytes()).decode()
