"""A version that is loaded, and all that answering with it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TypedDict, final

from ..errors import ProjectError
from ..features import RowReader
from ..modeling.manifest import Manifest
from ..modeling.model import Model, load_model
from .requests import RequestError, RequestReader, RequestRefusedError, Row, example_row


@final
class LabelPrediction(TypedDict):
    """The likeliest class, and the probability of each, between 0 and 1."""

    label: str
    probabilities: dict[str, float]


@final
class ValuePrediction(TypedDict):
    """A number in the target's unit."""

    value: float


Prediction = LabelPrediction | ValuePrediction


@dataclass(frozen=True)
class ServedModel:
    """One version in memory; made once, then only read, by many requests at a time."""

    version: str
    predictor: Model
    requests: RequestReader
    rows: RowReader

    @property
    def manifest(self) -> Manifest:
        """What the version says of itself."""
        return self.predictor.manifest

    def predict(self, rows: Sequence[Row]) -> Sequence[Prediction]:
        """One prediction for each row, in their order.

        Raises:
            RequestRefusedError: the model has no finite number for a row.
        """
        scores = self.predictor.predict(self.rows.read(rows)).tolist()
        labels = self.manifest.labels
        # For the few numbers of a request, plain Python is faster than NumPy.
        if not labels:
            _refuse_infinite(scores)
            return [{"value": value} for value in scores]
        _refuse_infinite([sum(probabilities) for probabilities in scores])
        return [
            {
                "label": labels[probabilities.index(max(probabilities))],
                "probabilities": dict(zip(labels, probabilities, strict=True)),
            }
            for probabilities in scores
        ]


def load_served_model(folder: Path, maximum_rows: int) -> ServedModel:
    """Load the version in `folder` and let it predict once, so that it is known to answer.

    Raises:
        ProjectError: the version is damaged, cannot be loaded or cannot predict.
    """
    predictor = load_model(folder)
    table = predictor.manifest.table
    model = ServedModel(
        version=predictor.manifest.version or folder.name,
        predictor=predictor,
        requests=RequestReader(table, maximum_rows),
        rows=RowReader(table),
    )
    try:
        model.predict([example_row(table)])
    except Exception as error:
        raise ProjectError(f"{folder} loads but cannot predict: {error}") from error
    return model


def _refuse_infinite(values: list[float]) -> None:
    if all(map(isfinite, values)):
        return
    message = "The model has no finite answer: the values are too far from those that it was trained on"
    errors = [RequestError(row, None, message) for row, value in enumerate(values) if not isfinite(value)]
    raise RequestRefusedError("Some rows have no finite answer; see errors", errors)
