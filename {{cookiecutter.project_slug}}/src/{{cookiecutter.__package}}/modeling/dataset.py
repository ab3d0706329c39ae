"""A split as what estimators take: a feature matrix and a target."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..data.splitting import Split, read_split
from ..errors import ProjectError
from ..features import Columns, columns_from_frame
from ..schema import Schema
from .model import Scores


@dataclass(frozen=True)
class Dataset:
    """Rows of a split; `target` holds places in the schema's labels, or a regression's numbers."""

    columns: Columns
    target: NDArray[Any]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.int64]) -> "Dataset":
        """The rows in these places alone."""
        return Dataset({name: values[rows] for name, values in self.columns.items()}, self.target[rows])


def read_dataset(splits: Path, split: Split, schema: Schema) -> Dataset:
    """A split's features and target.

    Raises:
        ProjectError: the split has no rows.
    """
    return make_dataset(read_split(splits, split), schema)


def make_dataset(frame: pl.DataFrame, schema: Schema) -> Dataset:
    """Features and target of typed rows."""
    target = frame[schema.target]
    values = target.to_physical().cast(pl.Int64) if schema.labels else target.cast(pl.Float64)
    return Dataset(columns_from_frame(schema, frame), values.to_numpy())


def read_slices(splits: Path, split: Split, columns: tuple[str, ...], schema: Schema) -> dict[str, NDArray[Any]]:
    """Each row's value of `columns` as text, by column; a missing one is called so.

    Raises:
        ProjectError: a column is not one to tell groups of rows by.
    """
    for name in columns:
        if name not in schema.columns or schema.columns[name].is_numeric:
            known = [name for name, column in schema.columns.items() if not column.is_numeric]
            raise ProjectError(
                f"config/model.yaml: gate.slices.columns has {name!r}, which is no category or boolean of "
                f"config/schema.yaml; there are {', '.join(map(repr, known)) or 'none'}."
            )
    frame = read_split(splits, split)
    return {name: frame[name].cast(pl.String).fill_null("missing").to_numpy().astype(np.str_) for name in columns}


def choose_labels(scores: Scores, labels: tuple[str, ...], schema: Schema) -> NDArray[np.int64]:
    """The likeliest label of each row, as its place in the schema's labels."""
    chosen: NDArray[np.int64] = align_scores(scores, labels, schema).argmax(axis=1)
    return chosen


def align_scores(scores: Scores, labels: tuple[str, ...], schema: Schema) -> Scores:
    """Scores with a probability for each label of the schema, 0 for those the model never saw."""
    if not schema.labels or labels == schema.labels:
        return scores
    aligned = np.zeros((len(scores), len(schema.labels)), dtype=scores.dtype)
    aligned[:, [schema.labels.index(label) for label in labels]] = scores
    return aligned
