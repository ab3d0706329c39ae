"""A registered version as an MLflow model: `mlflow.pyfunc.load_model("models:/NAME@champion").predict(frame)`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ..config import SourceSettings
from ..data_processing.loading import frame_as_strings
from ..modeling.prediction import score_frame
from ..modeling.predictor import Predictor, load_predictor

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Model:
    """A loaded version."""

    predictor: Predictor

    def predict(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """Score rows as the command `predict` does: a row that breaks the schema says so in `error`.

        Args:
            rows: one column for each feature of the schema; others are passed through.
        """
        raw = frame_as_strings(pl.from_pandas(rows).lazy(), SourceSettings())
        return score_frame(self.predictor, raw).to_pandas()


def _load_pyfunc(path: str) -> Model:  # the name that MLflow asks for
    return Model(load_predictor(Path(path)))
