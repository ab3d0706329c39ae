"""A split as what estimators take: a feature matrix and a target."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..data_processing.preprocessing import Split, read_split
from ..features.columns import Columns, columns_from_frame
from ..schema import Schema


@dataclass(frozen=True)
class Dataset:
    """Rows of a split; `target` holds label names for a classification, numbers for a regression."""

    columns: Columns
    target: NDArray[Any]

    def __len__(self) -> int:
        return len(self.target)


def read_dataset(splits: Path, split: Split, schema: Schema) -> Dataset:
    """A split's features and target.

    Raises:
        ProjectError: the split has no rows.
    """
    return make_dataset(read_split(splits, split), schema)


def make_dataset(frame: pl.DataFrame, schema: Schema) -> Dataset:
    """Features and target of typed rows."""
    target = frame[schema.target]
    values = (
        np.array(target.cast(pl.String).to_list(), dtype=np.str_)
        if schema.task == "classification"
        else target.cast(pl.Float64).to_numpy()
    )
    return Dataset(columns_from_frame(schema, frame), values)


def encode_labels(target: NDArray[Any], labels: tuple[str, ...]) -> NDArray[np.int64]:
    """The place of each value in `labels`, -1 for one that is not there."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places.get(value, -1) for value in target.tolist()], dtype=np.int64)
