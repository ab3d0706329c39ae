"""The files in `config/` that `adopt` writes, with comments for those who edit them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ...config import DerivedFeature, FeatureSettings, GateSettings, ModelSettings, PipelineSettings, SearchSettings
from ...schema import Schema

# Where libyaml is there, thousands of columns are written in a tenth of the time.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_model(schema: Schema, rows: int, derived: Sequence[DerivedFeature], positives: float) -> str:
    """The text of `config/model.yaml`; `positives` is the share of the rarest of two classes."""
    is_classes = schema.task == "classification"
    metric, minimum = ("roc_auc", 0.55) if is_classes else ("r2", 0.05)
    metrics = "balanced_accuracy, accuracy, f1_macro, log_loss" if is_classes else "rmse, mae"
    rare = f"\naverage_precision tells more where few rows are positive, as here ({positives:.1%})."
    settings = ModelSettings(
        estimator="auto",
        seed=20,
        features=FeatureSettings(derived=tuple(derived)),
        search=SearchSettings(trials=20, minutes=0.5),
        # A little more than saying the same for every row has; half of the test rows to expect must do.
        gate=GateSettings(metric=metric, minimum=minimum, minimum_rows=max(5, min(30, rows // 10))),
    )
    comments = {
        "estimator": "auto: a linear model, a forest or boosting, what `search` finds best. Or the name of one, or an\n"
        "import path such as lightgbm.LGBMClassifier, with `hyperparameters: {that name: {its arguments}}`.",
        "features": "derived, as {name: shape, operation: ratio, columns: [length, depth]} (or product, difference,\n"
        "log1p); selection: variance, none, or k_best (the k that tell most)",
        "search": "By cross-validation on at most `rows` training rows; ends after `trials` or `minutes`.",
        "calibration": "none or sigmoid",
        "decision": "Which label a row gets: the one best for this metric, or for `costs`; '' for the likeliest.",
        "parity": "How far the exported ONNX model may be from the scikit-learn model on held-out rows.",
        "gate": f"What a model must reach; other metrics: {metrics}." + rare * (0 < positives < 0.1),
    }
    content = settings.model_dump(mode="json", exclude_none=True)
    del content["search"]["space"]
    content["decision"] = {"best_for": "balanced_accuracy" if is_classes else ""}
    return _dump("What is trained, and what a model must reach before it becomes `latest`.", content, comments)


def write_pipeline(settings: PipelineSettings) -> str:
    """The text of `config/pipeline.yaml`."""
    comments = {
        "source": 'How the files are written. `files` says which of those in `raw` are read, as in "sales*.csv".',
        "validation": "Above maximum_rejected_share, `data` stops and changes nothing. duplicates: reject or keep.",
        "split": "Shares of the rows that are held out: with time_column the latest ones, whenever `data` runs;\n"
        "otherwise another seed gives other splits. Rows of one group, or else with the same features, share one.",
    }
    title = "From raw files to the three splits. `data` reads this file."
    return _dump(title, settings.model_dump(mode="json", exclude_none=True), comments)


def write_schema(schema: Schema, left_out: Mapping[str, str], table: str) -> str:
    """The text of `config/schema.yaml`; `left_out` has the reasons for columns that are not in it."""
    found = schema.model_dump(mode="json", exclude_defaults=True)
    for column in found["columns"].values():
        numbers = {key: value for key, value in column.items() if isinstance(value, float) and abs(value) < 1e15}
        column |= {key: int(value) for key, value in numbers.items() if value.is_integer()}
    lines = [
        f"Inferred from {table} by `adopt`; yours to edit. Each column once.",
        "  type      number, integer, boolean, timestamp (with its format), text (words, free to say anything), or",
        "            category: with the list of its `categories`, or without one for any number of them",
        "  role      feature (if not said), identifier, group (rows of one value share a split) or ignored",
        "  nullable  whether a value may be missing",
        "  unseen    refuse (if not said) or take: a category not listed counts as other, a number beyond its limits",
        "            as it is",
        *(" ".join(f"Left out: {name!r}, {why}".splitlines()) for name, why in left_out.items()),
    ]
    return _dump("\n".join(lines), found, {})


def _dump(title: str, content: dict[str, Any], comments: Mapping[str, str]) -> str:
    text = "# " + title.replace("\n", "\n# ") + "\n"
    for name, value in content.items():
        text += "\n# " + comments[name].replace("\n", "\n# ") + "\n" if name in comments else ""
        # PyYAML leaves some control characters bare that it does not read back; escaped, they are safe.
        is_plain = json.dumps(value, ensure_ascii=False).isprintable()
        # Short lists and settings on one line each, but never the whole section.
        style = None if isinstance(value, dict | list) else False
        text += yaml.dump(
            {name: value}, Dumper=_DUMPER, sort_keys=False, allow_unicode=is_plain, width=110, default_flow_style=style
        )
    return text
