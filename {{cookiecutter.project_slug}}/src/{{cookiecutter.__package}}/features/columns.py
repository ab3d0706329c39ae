"""Rows and frames as columns: the one form that feature engineering takes.

Numbers, integers and booleans are float64 arrays, NaN where missing; categories are int64 codes,
the index in the schema's categories, -1 where missing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..schema import Column, Schema

if TYPE_CHECKING:
    import polars as pl

Columns = dict[str, NDArray[Any]]

MISSING_CODE = -1


class RowReader:
    """Turns rows that the schema accepted into columns; made once a model, called once a request."""

    def __init__(self, schema: Schema) -> None:
        self._numeric = [name for name, column in schema.features.items() if column.type != "category"]
        self._codes = {
            name: {category: code for code, category in enumerate(column.categories)} | {None: MISSING_CODE}
            for name, column in schema.features.items()
            if column.type == "category"
        }

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Columns:
        """The features of `rows`; a column that a row leaves out counts as missing."""
        columns: Columns = {}
        for name in self._numeric:
            columns[name] = np.array([row.get(name) for row in rows], dtype=np.float64)
        for name, codes in self._codes.items():
            columns[name] = np.array([codes[row.get(name)] for row in rows], dtype=np.int64)
        return columns


def columns_from_frame(schema: Schema, frame: "pl.DataFrame") -> Columns:
    """The features of a frame that cleaning made; categories are of the schema's own Enum type."""
    return {name: _column_from_series(column, frame[name]) for name, column in schema.features.items()}


def _column_from_series(column: Column, series: "pl.Series") -> NDArray[Any]:
    if column.type == "category":
        return series.to_physical().cast(int).fill_null(MISSING_CODE).to_numpy()
    return series.cast(float).fill_null(float("nan")).to_numpy()
