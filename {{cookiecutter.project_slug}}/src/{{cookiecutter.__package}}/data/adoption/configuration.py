"""The files in `config/` that `adopt` writes, with comments for those who edit them."""

import json
from typing import Any

import yaml
from pydantic import BaseModel

from ...config import GateSettings, ModelSettings, PipelineSettings, SearchSettings
from ...schema import Schema, Task
from .inference import Decision

_LARGE_TABLE = 1_000
_MANY_CLASSES = 10

_LINEAR: dict[Task, str] = {"classification": "logistic_regression", "regression": "ridge"}
_ESTIMATORS: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "logistic_regression": ({"C": 1.0, "max_iter": 1000}, {"C": [0.01, 0.1, 1.0, 10.0, 100.0]}),
    "ridge": ({"alpha": 1.0}, {"alpha": [0.01, 0.1, 1.0, 10.0, 100.0]}),
    "random_forest": (
        {"n_estimators": 200, "min_samples_leaf": 2},
        {"max_depth": [None, 4, 8], "min_samples_leaf": [1, 2, 5, 10]},
    ),
    "hist_gradient_boosting": (
        {"max_iter": 150, "learning_rate": 0.05},
        {"learning_rate": [0.02, 0.05, 0.1], "max_leaf_nodes": [7, 15, 31]},
    ),
}
# A little more than saying the same for every row: that has 0.5 and 0.
_GATES: dict[Task, tuple[str, float]] = {"classification": ("roc_auc", 0.55), "regression": ("r2", 0.05)}


def suggest_model(schema: Schema, rows: int) -> ModelSettings:
    """Settings that fit the task and the size of the table; no derived features."""
    is_large = rows >= _LARGE_TABLE and len(schema.labels) <= _MANY_CLASSES
    names = [_LINEAR[schema.task], "random_forest", "hist_gradient_boosting"]
    metric, minimum = _GATES[schema.task]
    # A small table has few test rows; half of those to expect must do, or its first model is refused.
    needed = max(5, min(30, rows // 10))
    return ModelSettings(
        estimator="hist_gradient_boosting" if is_large else _LINEAR[schema.task],
        seed=20,
        hyperparameters={name: _ESTIMATORS[name][0] for name in names},
        search=SearchSettings(trials=0, space={name: _ESTIMATORS[name][1] for name in names}),
        gate=GateSettings(metric=metric, minimum=minimum, minimum_rows=needed),
    )


def write_schema(schema: Schema, decisions: list[Decision], table: str) -> str:
    """The text of `config/schema.yaml`."""
    columns = {
        name: {key: _plain(value) for key, value in column.model_dump(exclude_defaults=True).items()}
        for name, column in schema.columns.items()
    }
    lines = [
        f"Inferred from {table} by `adopt`; yours to edit. Each column once.",
        "  type      number, integer, boolean or category; text and timestamp where it is no feature",
        "  role      feature (if not said), identifier or ignored",
        "  nullable  whether a value may be missing",
        *(f"Left out: {decision.name!r}, {decision.why}" for decision in decisions if decision.column is None),
    ]
    return _comment(lines) + _dump({"task": schema.task, "target": schema.target, "columns": columns})


def write_pipeline(settings: PipelineSettings) -> str:
    """The text of `config/pipeline.yaml`."""
    comments = {
        "source": 'How the files are written. `files` says which of those in `raw` are read, as in "sales*.csv".',
        "validation": "Above maximum_rejected_share, `data` stops and changes nothing. duplicates: reject or keep.",
        "split": "Shares of the rows that are held out: with time_column the latest ones, whenever `data` runs;\n"
        "otherwise another seed gives other splits, and rows with the same features share one (group_by: features).",
    }
    return _sections("From raw files to the three splits. `data` reads this file.", settings, comments)


def write_model(settings: ModelSettings, task: Task) -> str:
    """The text of `config/model.yaml`."""
    metrics = {"classification": "balanced_accuracy, accuracy, f1_macro, log_loss", "regression": "rmse, mae"}[task]
    comments = {
        "estimator": f"{_LINEAR[task]}, random_forest or hist_gradient_boosting",
        "hyperparameters": "Arguments of the scikit-learn estimator of that name.",
        "features": "derived: features made of columns, as in\n"
        "  {name: shape, operation: ratio, columns: [length, depth]} (or product, difference, log1p).\n"
        "selection: variance, none, or k_best (the k that tell most)",
        "search": "Random search, scored on the validation rows. `trials: 0` turns it off.",
        "parity": "How far the exported ONNX model may be from the scikit-learn model on held-out rows.",
        "gate": f"What a model must reach; other metrics: {metrics}.",
    }
    return _sections("What is trained, and what a model must reach before it becomes `latest`.", settings, comments)


def _sections(title: str, settings: BaseModel, comments: dict[str, str]) -> str:
    text = _comment([title])
    for name, value in settings.model_dump(mode="json", exclude_none=True).items():
        if name in comments:
            text += "\n" + _comment(comments[name].split("\n"))
        text += _dump({name: value})
    return text


def _comment(lines: list[str]) -> str:
    return "".join(f"# {' '.join(line.splitlines()) if line.strip() else ''}".rstrip() + "\n" for line in lines)


def _dump(value: dict[str, Any]) -> str:
    # Short lists and settings on one line each, but never the whole document.
    style = None if any(isinstance(item, dict | list) for item in value.values()) else False
    # PyYAML leaves some control characters bare that it does not read back; escaped, they are safe.
    is_plain = json.dumps(value, ensure_ascii=False).isprintable()
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=is_plain, width=110, default_flow_style=style)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return list(value) if isinstance(value, tuple) else value
