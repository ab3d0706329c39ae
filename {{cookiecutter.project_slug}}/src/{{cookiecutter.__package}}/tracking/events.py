"""What happens in a run, one event after another."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

State = Literal["training", "trained", "evaluated", "promoted", "refused", "failed"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Parameters(_Event):
    """What was decided before: settings, hyperparameters, data."""

    kind: Literal["parameters"] = "parameters"
    values: dict[str, Any]


class Metrics(_Event):
    """What was measured; `step` counts the trials of a search."""

    kind: Literal["metrics"] = "metrics"
    values: dict[str, float]
    step: int = 0


class Stored(_Event):
    """A file that the run keeps: its path in the run's `files`."""

    kind: Literal["stored"] = "stored"
    file: str


class Candidate(_Event):
    """The model that the run made: sha256 of the candidate's manifest."""

    kind: Literal["candidate"] = "candidate"
    sha256: str


class Version(_Event):
    """The version that the candidate became, and its folder, relative to the project's root."""

    kind: Literal["version"] = "version"
    name: str
    folder: str


class Reached(_Event):
    """How far the run came, and why it went no further."""

    kind: Literal["reached"] = "reached"
    state: State
    reason: str = ""


Event = Annotated[
    Parameters | Metrics | Stored | Candidate | Version | Reached,
    Field(discriminator="kind"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads and writes an event as JSON."""
