"""A registered version as an MLflow model: `mlflow.pyfunc.load_model("models:/NAME@champion").predict(frame)`."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import polars as pl

from ..config import SourceSettings
from ..data.loading import frame_as_strings
from ..modeling.model import load_model
from ..modeling.prediction import score_frame


def _load_pyfunc(path: str) -> SimpleNamespace:  # the name that MLflow asks for
    model = load_model(Path(path))

    def predict(rows: pd.DataFrame) -> pd.DataFrame:
        """Score rows, a column for each feature, as the command does: a row that breaks the schema has an `error`."""
        raw = frame_as_strings(pl.from_pandas(rows).lazy(), SourceSettings())
        return score_frame(model, raw).to_pandas()

    return SimpleNamespace(predict=predict)
