"""A registered version as an MLflow model: `mlflow.pyfunc.load_model("models:/NAME@champion").predict(frame)`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ..config import SourceSettings
from ..data.loading import frame_as_strings
from ..modeling.model import Model, load_model
from ..modeling.prediction import score_frame

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PyfuncModel:
    """A loaded version."""

    model: Model

    def predict(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """Score rows as the command `predict` does: a row that breaks the schema says so in `error`.

        Args:
            rows: one column for each feature of the schema; others are passed through.
        """
        raw = frame_as_strings(pl.from_pandas(rows).lazy(), SourceSettings())
        return score_frame(self.model, raw).to_pandas()


def _load_pyfunc(path: str) -> PyfuncModel:  # the name that MLflow asks for
    return PyfuncModel(load_model(Path(path)))
