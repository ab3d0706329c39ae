"""Typed settings, read from `config/` at the project's root."""

import os
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import ProjectError
from .schema import Schema

ROOT_VARIABLE = "PROJECT_ROOT"
_MARKER = "config/schema.yaml"

Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of every settings model: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSettings(Settings):
    """How the raw files are written."""

    files: str = "*"
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Literal["utf8", "cp1252", "latin-1", "utf-16"] = "utf8"
    trim: bool = False
    decimal_comma: bool = False
    null_values: tuple[str, ...] = ("", "NA", "NaN", "null")


class ValidationSettings(Settings):
    """What happens to rows that break the schema."""

    maximum_rejected_share: Share = 0.05
    duplicates: Literal["reject", "keep"] = "reject"


class SplitSettings(Settings):
    """Which shares of the rows are kept from training, and which rows these are.

    With `time_column` they are the latest. Otherwise rows that share their identifiers or their features stay together.
    """

    validation: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    test: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    seed: Annotated[int, Field(ge=0)] = 0
    time_column: str | None = None


class PlacedSplit(SplitSettings):
    """A split as `data` made it: with `time_column`, the validation and the test rows begin at these points."""

    group_by: Literal["features", "row"] = "features"  # older versions could split row by row
    validation_from: float | datetime | None = None
    test_from: float | datetime | None = None


class DataSummary(BaseModel):
    """What `data` made: hash of what went in, rows by split, rows rejected, rejections by rule, how it was split."""

    sha256: str
    rows: dict[str, int]
    rejected: int
    by_rule: dict[str, int] = {}
    split: PlacedSplit | None = None


class PipelineSettings(Settings):
    """`config/pipeline.yaml`."""

    source: SourceSettings = SourceSettings()
    validation: ValidationSettings = ValidationSettings()
    split: SplitSettings = SplitSettings()


class DerivedFeature(Settings):
    """A numeric feature computed from other numeric columns; `operation` is one of `features.OPERATIONS`."""

    name: str
    operation: str
    columns: Annotated[tuple[str, ...], Field(min_length=1)]


class FeatureSettings(Settings):
    """How columns become features."""

    derived: tuple[DerivedFeature, ...] = ()


class SearchSettings(Settings):
    """The cross-validation by which `auto` chooses an estimator, on at most `rows` of the training rows."""

    folds: Annotated[int, Field(ge=2)] = 4
    rows: Annotated[int, Field(ge=100)] = 10_000


class DecisionSettings(Settings):
    """Which label a row gets: the likeliest, or by the weights of the labels that are best for a metric."""

    best_for: str = ""


class ParitySettings(Settings):
    """How far ONNX, which serves, may be from scikit-learn, or `train` refuses the model.

    At most `maximum_share` of the held-out rows may be further apart than `tolerance`.
    """

    tolerance: Annotated[float, Field(gt=0)] = 1e-4
    maximum_share: Share = 0.001


class SliceSettings(Settings):
    """Groups of `minimum_rows` test rows and more on which a candidate may not lose more, in the metric's unit."""

    columns: tuple[str, ...] = ()
    minimum_rows: Annotated[int, Field(ge=1)] = 30
    tolerance: Annotated[float, Field(ge=0)] = 0.05


class GateSettings(Settings):
    """What a candidate must reach before it becomes `latest`; `confidence` is that it is better."""

    metric: str
    minimum: float
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100)] = 1000
    minimum_rows: Annotated[int, Field(ge=1)] = 30
    slices: SliceSettings = SliceSettings()


class CardSettings(Settings):
    """What only people know of a model, for its card."""

    intended_use: str = "Not stated: say it in card.intended_use of config/model.yaml."
    limits: str = ""


class ModelSettings(Settings):
    """`config/model.yaml`."""

    estimator: str
    seed: Annotated[int, Field(ge=0)] = 0
    hyperparameters: dict[str, dict[str, Any]] = {}
    features: FeatureSettings = FeatureSettings()
    search: SearchSettings = SearchSettings()
    calibration: Literal["none", "sigmoid"] = "none"
    decision: DecisionSettings = DecisionSettings()
    parity: ParitySettings = ParitySettings()
    gate: GateSettings
    card: CardSettings = CardSettings()


_SettingsModel = TypeVar("_SettingsModel", bound=BaseModel)


def _folder(path: str) -> cached_property[Path]:
    """A folder below a project's root, as an attribute of the project."""
    return cached_property(lambda project: Path(project.root, path))


@dataclass(frozen=True)
class Project:
    """A project on disk: its root, the settings in `config/`, and the folders of its artifacts.

    `rejected` has the rows that broke the schema, `splits` those for training, validation and test,
    `candidate` the model that was trained last, and `figures` the pictures of its evaluation.
    """

    root: Path

    raw = _folder("data/raw")
    rejected = _folder("data/interim/rejected")
    splits = _folder("data/processed/splits")
    # {% if cookiecutter.monitoring == "drift" %}
    requests = _folder("data/requests")
    # {% endif %}
    models = _folder("models")
    candidate = _folder("models/candidate")
    reports = _folder("reports")
    figures = _folder("reports/figures/evaluation")
    logs = _folder("logs")

    @cached_property
    def schema(self) -> Schema:
        return read_settings(self.root, "schema.yaml", Schema)

    @cached_property
    def pipeline(self) -> PipelineSettings:
        return read_settings(self.root, "pipeline.yaml", PipelineSettings)

    @cached_property
    def model(self) -> ModelSettings:
        return read_settings(self.root, "model.yaml", ModelSettings)


def find_project(start: Path | None = None) -> Project:
    """The project that `PROJECT_ROOT`, or else `start` or a folder above it, belongs to.

    Raises ProjectError where no folder on the way up holds `config/schema.yaml`.
    """
    named = os.environ.get(ROOT_VARIABLE)
    here = Path(named or start or Path.cwd()).resolve()
    for folder in (here,) if named else (here, *here.parents):
        if (folder / _MARKER).is_file():
            return Project(folder)
    if named:
        raise ProjectError(f"{ROOT_VARIABLE} is {here}, which has no {_MARKER}; set it to the project.")
    raise ProjectError(f"No {_MARKER} in {here} or above; run the command inside the project, or set {ROOT_VARIABLE}.")


def read_settings(root: Path, name: str, model: type[_SettingsModel]) -> _SettingsModel:
    """Read `config/<name>`. Raises ProjectError where it is missing, is not YAML, or has a wrong or unknown setting."""
    shown = f"config/{name}"
    try:
        return model.model_validate(yaml.safe_load((root / shown).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ProjectError(f"{shown} is missing; restore it (git checkout {shown}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProjectError(f"{shown} is not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise ProjectError(f"{shown} has wrong settings:\n{describe_errors(error)}") from error


def describe_errors(error: ValidationError) -> str:
    """One line for each setting that pydantic refused: where, why, and what was found."""
    return "\n".join(
        f"  {'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']} (found {item['input']!r:.60})"
        for item in error.errors(include_url=False)
    )
