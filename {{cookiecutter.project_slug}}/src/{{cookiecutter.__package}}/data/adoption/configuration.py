"""The files in `config/` that `adopt` writes, with comments for those who edit them."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from ...config import GateSettings, ModelSettings, PipelineSettings, SearchSettings
from ...schema import Schema, Task
from .inference import Decision

# The linear estimator, the gate's metric, a little more than what saying the same for every row has, other metrics.
_TASKS: dict[Task, tuple[str, str, float, str]] = {
    "classification": ("logistic_regression", "roc_auc", 0.55, "balanced_accuracy, accuracy, f1_macro, log_loss"),
    "regression": ("ridge", "r2", 0.05, "rmse, mae"),
}
_HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "logistic_regression": {"C": 1.0, "max_iter": 1000},
    "ridge": {"alpha": 1.0},
    "random_forest": {"n_estimators": 200, "min_samples_leaf": 2},
    "hist_gradient_boosting": {"max_iter": 150, "learning_rate": 0.05},
}
_SPACES: dict[str, dict[str, list[Any]]] = {
    "logistic_regression": {"C": [0.01, 0.1, 1.0, 10.0, 100.0]},
    "ridge": {"alpha": [0.01, 0.1, 1.0, 10.0, 100.0]},
    "random_forest": {"max_depth": [None, 4, 8], "min_samples_leaf": [1, 2, 5, 10]},
    "hist_gradient_boosting": {"learning_rate": [0.02, 0.05, 0.1], "max_leaf_nodes": [7, 15, 31]},
}


def write_model(schema: Schema, rows: int) -> str:
    """The text of `config/model.yaml`: what fits the task and the size of the table, and no derived features."""
    linear, metric, minimum, other_metrics = _TASKS[schema.task]
    is_large = rows >= 1_000 and len(schema.labels) <= 10
    names = [linear, "random_forest", "hist_gradient_boosting"]
    # A small table has few test rows; half of those to expect must do, or its first model is refused.
    needed = max(5, min(30, rows // 10))
    settings = ModelSettings(
        estimator="hist_gradient_boosting" if is_large else linear,
        seed=20,
        hyperparameters={name: _HYPERPARAMETERS[name] for name in names},
        search=SearchSettings(space={name: _SPACES[name] for name in names}),
        gate=GateSettings(metric=metric, minimum=minimum, minimum_rows=needed),
    )
    comments = {
        "estimator": f"{linear}, random_forest or hist_gradient_boosting",
        "hyperparameters": "Arguments of the scikit-learn estimator of that name.",
        "features": "derived: features made of columns, as in\n"
        "  {name: shape, operation: ratio, columns: [length, depth]} (or product, difference, log1p).\n"
        "selection: variance, none, or k_best (the k that tell most)",
        "search": "Random search, scored on the validation rows. `trials: 0` turns it off.",
        "parity": "How far the exported ONNX model may be from the scikit-learn model on held-out rows.",
        "gate": f"What a model must reach; other metrics: {other_metrics}.",
    }
    title = "What is trained, and what a model must reach before it becomes `latest`."
    return _dump(title, settings.model_dump(mode="json", exclude_none=True), comments)


def write_pipeline(settings: PipelineSettings) -> str:
    """The text of `config/pipeline.yaml`."""
    comments = {
        "source": 'How the files are written. `files` says which of those in `raw` are read, as in "sales*.csv".',
        "validation": "Above maximum_rejected_share, `data` stops and changes nothing. duplicates: reject or keep.",
        "split": "Shares of the rows that are held out: with time_column the latest ones, whenever `data` runs;\n"
        "otherwise another seed gives other splits, and rows with the same features share one (group_by: features).",
    }
    title = "From raw files to the three splits. `data` reads this file."
    return _dump(title, settings.model_dump(mode="json", exclude_none=True), comments)


def write_schema(schema: Schema, decisions: list[Decision], table: str) -> str:
    """The text of `config/schema.yaml`."""
    found = schema.model_dump(mode="json", exclude_defaults=True)
    for column in found["columns"].values():
        numbers = {key: value for key, value in column.items() if isinstance(value, float) and abs(value) < 1e15}
        column |= {key: int(value) for key, value in numbers.items() if value.is_integer()}
    lines = [
        f"Inferred from {table} by `adopt`; yours to edit. Each column once.",
        "  type      number, integer, boolean or category; text and timestamp where it is no feature",
        "  role      feature (if not said), identifier or ignored",
        "  nullable  whether a value may be missing",
        *(f"Left out: {decision.name!r}, {decision.why}" for decision in decisions if decision.column is None),
    ]
    return _dump("\n".join(" ".join(line.splitlines()) for line in lines), found, {})


def _dump(title: str, content: dict[str, Any], comments: Mapping[str, str]) -> str:
    text = "# " + title.replace("\n", "\n# ") + "\n"
    for name, value in content.items():
        text += "\n# " + comments[name].replace("\n", "\n# ") + "\n" if name in comments else ""
        # PyYAML leaves some control characters bare that it does not read back; escaped, they are safe.
        is_plain = json.dumps(value, ensure_ascii=False).isprintable()
        # Short lists and settings on one line each, but never the whole section.
        style = None if isinstance(value, dict | list) else False
        text += yaml.safe_dump(
            {name: value}, sort_keys=False, allow_unicode=is_plain, width=110, default_flow_style=style
        )
    return text
