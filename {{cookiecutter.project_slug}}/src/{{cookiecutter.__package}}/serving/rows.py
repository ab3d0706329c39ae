"""The bodies of requests and answers: pydantic models, that of a request made from the schema of the model.

A field of your own in the answer is a line in `LabelPrediction` or `ValuePrediction`, and its value in
`make_predictions`, whose dictionaries are for speed: an object for each row would cost more than its prediction.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, cast

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypedDict

from ..features import make_clock
from ..modeling.model import Scores, choose_places, make_examples
from ..schema import Column, Schema

_MOST_ERRORS = 100

Row = dict[str, Any]
Predictions = list[dict[str, Any]]


class LabelPrediction(BaseModel):
    """The likeliest class, and the probability of each, between 0 and 1."""

    label: str
    probabilities: dict[str, float]


class ValuePrediction(BaseModel):
    """A number in the target's unit."""

    value: float


class Answer(BaseModel):
    """The version that answered, and a prediction for each row, in the order of the rows."""

    model_version: str
    predictions: list[LabelPrediction | ValuePrediction]


class RowError(BaseModel):
    """One thing that is wrong: the row, counted from 0, and the column, where it is about them."""

    row: int | None = None
    column: str | None = None
    message: str


class Error(BaseModel):
    """What happened; `errors` says what is wrong in the request's body, and is empty for other errors."""

    detail: str
    errors: list[RowError] = []


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, detail: str, errors: Sequence[RowError] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.error = Error(detail=detail, errors=list(errors))


def make_predictions(scores: Scores, labels: Sequence[str], weights: Sequence[float] = ()) -> Predictions:
    """The prediction of each row from its probabilities, or value. Raises RefusedError where they are not finite."""
    odd = ~np.isfinite(scores).reshape(len(scores), -1).all(axis=1)
    if odd.any():
        message = "The model has no finite answer: the values are too far from those that it was trained on"
        errors = [RowError(row=row, message=message) for row in np.flatnonzero(odd).tolist()]
        raise RefusedError(422, "Some rows have no finite answer; see errors", errors)
    if not labels:
        return [{"value": value} for value in scores.tolist()]
    return [
        {"label": labels[place], "probabilities": dict(zip(labels, shares, strict=True))}
        for place, shares in zip(choose_places(scores, weights).tolist(), scores.tolist(), strict=True)
    ]


def make_request_type(schema: Schema, maximum_rows: int) -> type[BaseModel]:
    """The model of a request's body, whose `rows` are dictionaries with the features of the schema."""
    # A dictionary, since a column may have any name, and the attribute of a class may not.
    row: Any = cast(Any, TypedDict)("Row", {name: _value_type(column) for name, column in schema.features.items()})
    row.__pydantic_config__ = ConfigDict(extra="forbid")
    rows = Annotated[list[row], Field(min_length=1, max_length=maximum_rows)]
    return create_model("Request", __config__=ConfigDict(extra="forbid"), rows=(rows, ...))


def _value_type(column: Column) -> Any:
    """What a value of a column may be: as in a file, but that no number is a string."""
    limits = [limit for limit in (column.minimum, column.maximum) if limit is not None]
    known = [*limits, *column.categories] if column.unseen == "take" else None
    shown = Field(description=column.description or None, examples=known or None)
    value: Any = str
    if column.is_numeric:
        value = _check_number(column)
    elif column.type == "timestamp":
        value = _check_time(column)
    elif column.type == "boolean":
        value = bool
    elif column.categories and column.unseen == "refuse":
        value = Literal.__getitem__(column.categories)
    return NotRequired[Annotated[value | None, shown]] if column.nullable else Annotated[value, shown]


def _check_number(column: Column) -> Any:
    value: Any = Annotated[float, Field(strict=True, allow_inf_nan=False)]
    if column.unseen == "refuse":
        value = Annotated[value, Field(ge=column.minimum, le=column.maximum)]
    if column.type == "integer":
        value = Annotated[value, AfterValidator(_to_integer), Field(json_schema_extra={"type": "integer"})]
    return value


def _to_integer(value: float) -> int:
    # As in JSON Schema, 181.0 is an integer: what many clients send for columns with gaps.
    if not value.is_integer() or abs(value) >= 2**63:
        raise PydanticCustomError("integer", "Input should be a valid integer of at most 64 bits")
    return int(value)


def _check_time(column: Column) -> Any:
    read = make_clock(column.format)

    def check(text: str) -> str:
        read(text)
        return text

    return Annotated[str, AfterValidator(check)]


def example_row(schema: Schema, typical: Mapping[str, Any]) -> Row:
    """A row that the schema takes: of typical values, or else the middle of each range, the first of each category."""
    return {name: typical.get(name, make_examples(column)[0]) for name, column in schema.features.items()}


def refuse_body(details: Sequence[ErrorDetails]) -> RefusedError:
    """What pydantic found wrong in a request's body, the first hundred things at most."""
    errors = [_explain(detail) for detail in details[:_MOST_ERRORS]]
    return RefusedError(422, "The request is wrong; see errors", errors)


def _explain(detail: ErrorDetails) -> RowError:
    place = detail["loc"]
    row = place[1] if len(place) > 1 and isinstance(place[1], int) else None
    column = place[2] if len(place) > 2 and isinstance(place[2], str) else None
    return RowError(row=row, column=column, message=detail["msg"].removeprefix("Value error, "))
