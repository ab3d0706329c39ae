"""What `adopt` writes into `config/`."""

import json
from itertools import combinations

import yaml
from pydantic import BaseModel

from ...config import DecisionSettings, DerivedFeature, FeatureSettings, GateSettings, ModelSettings
from ...schema import Schema

_MOST_TIMES = 3


def suggest_model(schema: Schema, rows: int) -> ModelSettings:
    """What to train on a table of so many rows, with the days between timestamps as derived features."""
    times = [name for name, column in schema.features.items() if column.type == "timestamp"][:_MOST_TIMES]
    between = {f"days_from_{first}_to_{last}": (last, first) for first, last in combinations(times, 2)}
    derived = [DerivedFeature(name=name, operation="difference", columns=pair) for name, pair in between.items()]
    is_classes = schema.task == "classification"
    # A little more than saying the same for every row has.
    metric, minimum = ("roc_auc", 0.55) if is_classes else ("r2", 0.05)
    return ModelSettings(
        estimator="auto",
        seed=20,
        features=FeatureSettings(derived=tuple(derived)),
        decision=DecisionSettings(best_for="balanced_accuracy" if is_classes else ""),
        # Half of the test rows to expect must do.
        gate=GateSettings(metric=metric, minimum=minimum, minimum_rows=max(5, min(30, rows // 10))),
    )


def write_settings(title: str, settings: BaseModel, shortly: bool = False) -> str:
    """The text of a file in `config/`; `shortly`, without what is the default."""
    content = settings.model_dump(mode="json", exclude_none=True, exclude_defaults=shortly)
    # PyYAML leaves some control characters bare that it does not read back; escaped, they are safe.
    is_plain = json.dumps(content, ensure_ascii=False).isprintable()
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=is_plain, width=110, default_flow_style=None)
    return f"# {' '.join(title.splitlines())}\n{text}"
