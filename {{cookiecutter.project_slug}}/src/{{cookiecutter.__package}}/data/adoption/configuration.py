"""The files in `config/` that `adopt` writes."""

import json
from itertools import combinations
from typing import Any

import yaml

from ...config import DecisionSettings, DerivedFeature, FeatureSettings, GateSettings, ModelSettings, PipelineSettings
from ...schema import Schema

_MOST_TIMES = 3


def write_model(schema: Schema, rows: int) -> str:
    """The text of `config/model.yaml`, with the days between timestamps as derived features."""
    times = [name for name, column in schema.features.items() if column.type == "timestamp"][:_MOST_TIMES]
    between = {f"days_from_{first}_to_{last}": (last, first) for first, last in combinations(times, 2)}
    derived = [DerivedFeature(name=name, operation="difference", columns=pair) for name, pair in between.items()]
    is_classes = schema.task == "classification"
    # A little more than saying the same for every row has.
    metric, minimum = ("roc_auc", 0.55) if is_classes else ("r2", 0.05)
    settings = ModelSettings(
        estimator="auto",
        seed=20,
        features=FeatureSettings(derived=tuple(derived)),
        decision=DecisionSettings(best_for="balanced_accuracy" if is_classes else ""),
        # Half of the test rows to expect must do.
        gate=GateSettings(metric=metric, minimum=minimum, minimum_rows=max(5, min(30, rows // 10))),
    )
    title = "What is trained, and what a model must reach: see docs/guides/models.md."
    return _dump(title, settings.model_dump(mode="json", exclude_none=True))


def write_pipeline(settings: PipelineSettings) -> str:
    """The text of `config/pipeline.yaml`."""
    title = "From raw files to the three splits: see docs/guides/data.md."
    return _dump(title, settings.model_dump(mode="json", exclude_none=True))


def write_schema(schema: Schema, table: str) -> str:
    """The text of `config/schema.yaml`."""
    title = f"Inferred from {table} by `adopt`; yours to edit: docs/guides/data.md says what each word means."
    return _dump(title, schema.model_dump(mode="json", exclude_defaults=True))


def _dump(title: str, content: dict[str, Any]) -> str:
    # PyYAML leaves some control characters bare that it does not read back; escaped, they are safe.
    is_plain = json.dumps(content, ensure_ascii=False).isprintable()
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=is_plain, width=110, default_flow_style=None)
    return f"# {' '.join(title.splitlines())}\n{text}"
