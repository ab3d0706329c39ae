"""A split as what estimators take: a feature matrix and a target."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..config import Project
from ..data.splitting import IDENTITY, Split, read_split
from ..errors import ProjectError
from ..features import Columns, columns_from_frame, engineer_features, plan_features
from ..schema import Schema
from .metrics import Answers, Array
from .model import Scores

Rows = tuple[NDArray[np.float32], NDArray[Any]]


@dataclass(frozen=True)
class Dataset:
    """Rows of a split; `target` holds places in the schema's labels, or a regression's numbers.

    Rows of one of the `groups` belong on one side of a split, and where there are `times`, earlier rows on the first.
    """

    columns: Columns
    target: NDArray[Any]
    groups: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    times: NDArray[Any] = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.int64] | slice) -> "Dataset":
        """The rows in these places alone."""
        groups, times = (values[rows] if len(values) else values for values in (self.groups, self.times))
        return Dataset({name: values[rows] for name, values in self.columns.items()}, self.target[rows], groups, times)


def read_dataset(
    splits: Path, split: Split | tuple[Split, ...], schema: Schema, time_column: str | None = None
) -> Dataset:
    """Features and target of a split, or of several, one after the other; `times` are those of `time_column`.

    Raises ProjectError where one has no rows.
    """
    frame = pl.concat([read_split(splits, name) for name in ([split] if isinstance(split, str) else split)])
    target = frame[schema.target]
    values = target.to_physical().cast(pl.Int64) if schema.labels else target.cast(pl.Float64)
    times = frame[time_column].to_physical().to_numpy() if time_column else np.empty(0)
    return Dataset(columns_from_frame(schema, frame), values.to_numpy(), frame[IDENTITY].to_numpy(), times)


def read_matrix(project: Project, split: Split) -> Rows:
    """What a model of your own trains on: a split's feature matrix, (rows, features), and its target.

    The matrix has NaN where a number is missing. The target holds places in the schema's labels, or a regression's
    numbers. What was trained on `train` and gives probabilities in that order, or values, is taken by `train --onnx`.
    """
    dataset = read_dataset(project.splits, split, project.schema)
    plan = plan_features(project.schema, project.model.features.derived)
    return engineer_features(dataset.columns, plan), dataset.target


def read_slices(splits: Path, split: Split, columns: tuple[str, ...], schema: Schema) -> dict[str, NDArray[Any]]:
    """Each row's value of `columns` as text, by column; a missing one is called so.

    Raises ProjectError where a column is not one to tell groups of rows by.
    """
    known = [name for name, column in schema.columns.items() if not column.is_numeric]
    unknown = [repr(name) for name in columns if name not in known]
    if unknown:
        such = f"no category or boolean of config/schema.yaml, which has {', '.join(map(repr, known)) or 'none'}"
        raise ProjectError(f"config/model.yaml: gate.slices.columns has {', '.join(unknown)}: {such}.")
    frame = read_split(splits, split)
    return {name: frame[name].cast(pl.String).fill_null("missing").to_numpy().astype(np.str_) for name in columns}


def align_scores(scores: Array, labels: Sequence[str], wanted: Sequence[str]) -> Array:
    """Probabilities or weights of `labels`, (..., labels), as those of the `wanted` labels, 0 for one that is none."""
    places = {label: place for place, label in enumerate(labels)}
    none = np.zeros(scores.shape[:-1], scores.dtype)
    columns = [scores[..., places[label]] if label in places else none for label in wanted]
    return np.stack(columns, axis=-1) if labels else scores


def align_answers(scores: Scores, labels: tuple[str, ...], weights: tuple[float, ...], schema: Schema) -> Answers:
    """Answers with a probability and a weight for each label of the schema, 0 for those the model never saw."""
    aligned = align_scores(np.array(weights), labels, schema.labels).tolist() if weights else ()
    return Answers(align_scores(scores, labels, schema.labels), tuple(aligned))
