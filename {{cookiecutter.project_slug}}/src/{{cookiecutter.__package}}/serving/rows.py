"""The bodies of requests and answers: pydantic models, that of a request made from the schema of the model.

A field of your own in the answer is a line in `LabelPrediction` or `ValuePrediction`, and its value in
`make_predictions`, whose dictionaries are for speed: an object for each row would cost more than its prediction.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypedDict

from ..schema import Column, Schema

_MOST_ERRORS = 100

Row = dict[str, Any]


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


def make_predictions(scores: list[Any], labels: Sequence[str], weights: Sequence[float] = ()) -> list[dict[str, Any]]:
    """The prediction of each row from its probabilities, or value. Raises RefusedError where they are not finite."""
    # For the few numbers of a request, plain Python is faster than NumPy.
    totals = [sum(shares) for shares in scores] if labels else scores
    if not all(map(isfinite, totals)):
        message = "The model has no finite answer: the values are too far from those that it was trained on"
        errors = [RowError(row=row, message=message) for row, total in enumerate(totals) if not isfinite(total)]
        raise RefusedError(422, "Some rows have no finite answer; see errors", errors)
    if not labels:
        return [{"value": value} for value in scores]
    decided = scores
    if weights:
        decided = [[share * weight for share, weight in zip(shares, weights, strict=True)] for shares in scores]
    return [
        {"label": labels[weighted.index(max(weighted))], "probabilities": dict(zip(labels, shares, strict=True))}
        for shares, weighted in zip(scores, decided, strict=True)
    ]


def make_request_type(schema: Schema, maximum_rows: int) -> type[BaseModel]:
    """The model of a request's body, whose `rows` are dictionaries with the features of the schema."""
    # A dictionary, since a column may have any name, and the attribute of a class may not.
    row: Any = cast(Any, TypedDict)("Row", {name: _value_type(column) for name, column in schema.features.items()})
    row.__pydantic_config__ = ConfigDict(extra="forbid")
    rows = Annotated[list[row], Field(min_length=1, max_length=maximum_rows)]
    return create_model("Request", __config__=ConfigDict(extra="forbid"), rows=(rows, ...))


def _value_type(column: Column) -> Any:
    value: Any = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=column.minimum, le=column.maximum)]
    if column.type == "category":
        value = Literal.__getitem__(column.categories)
    elif column.type == "boolean":
        value = Annotated[bool, Field(strict=True)]
    elif column.type == "integer":
        value = Annotated[value, AfterValidator(_to_integer), Field(json_schema_extra={"type": "integer"})]
    described = Field(description=column.description or None)
    return NotRequired[Annotated[value | None, described]] if column.nullable else Annotated[value, described]


def _to_integer(value: float) -> int:
    # As in JSON Schema, 181.0 is an integer: what many clients send for columns with gaps.
    if not value.is_integer() or abs(value) >= 2**63:
        raise PydanticCustomError("integer", "Input should be a valid integer of at most 64 bits")
    return int(value)


def example_row(schema: Schema) -> Row:
    """A row that the schema takes: the middle of each range, the first of each category."""
    return {name: _example(column) for name, column in schema.features.items()}


def _example(column: Column) -> float | str:
    if column.type == "category":
        return column.categories[0]
    if column.type == "boolean":
        return True
    limits = [limit for limit in (column.minimum, column.maximum) if limit is not None]
    middle = sum(limits) / max(len(limits), 1)
    return int(middle) if column.type == "integer" else middle


_BODY = '{"rows": [{column: value, …}, …]}'
_MESSAGES = {
    (0, "json_invalid"): "The body is not JSON: %(error)s",
    (0, "model_type"): f"The body must be an object: {_BODY}",
    (1, "missing"): f"The body has no rows: send {_BODY}",
    (1, "extra_forbidden"): f"The body has a key that is not known: send {_BODY}",
    (1, "list_type"): f"Rows must be a list: send {_BODY}",
    (1, "too_short"): "Send at least one row",
    (1, "too_long"): "Send at most %(max_length)s rows in a request",
    (2, "dict_type"): "A row must be an object: {column: value, …}",
    (3, "missing"): "This column is required",
    (3, "extra_forbidden"): "The model has no such column",
}
"""What to say of an error, by how deep in the body it is and its type in pydantic."""


def explain(details: Sequence[ErrorDetails]) -> RefusedError:
    """What pydantic found wrong in a request's body, the first hundred things at most."""
    first = f"{len(details)} things are" if len(details) > 1 else "One thing is"
    shown = f", the first {_MOST_ERRORS} of them" if len(details) > _MOST_ERRORS else ""
    errors = [_explain(detail) for detail in details[:_MOST_ERRORS]]
    return RefusedError(422, f"{first} wrong in the request; see errors{shown}", errors)


def _explain(detail: ErrorDetails) -> RowError:
    place = detail["loc"]
    row = place[1] if len(place) > 1 and isinstance(place[1], int) else None
    column = place[2] if len(place) > 2 and isinstance(place[2], str) else None
    if column and len(column) > 100:
        column = f"{column[:100]}…"
    known = _MESSAGES.get((len(place), detail["type"]))
    return RowError(row=row, column=column, message=known % detail.get("ctx", {}) if known else detail["msg"])
