"""The columns of the table: one description, which all else follows from."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["classification", "regression"]
ColumnType = Literal["number", "integer", "boolean", "category", "text", "timestamp"]
Role = Literal["feature", "identifier", "group", "ignored"]

TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")
"""How a boolean may be written, in any case."""


class Column(BaseModel):
    """One column: its type, and what its values may be.

    `minimum` and `maximum` are inclusive and belong to numbers and integers; `categories` belong to
    categories, and a feature without them may have any number of values; `format` (as in Python's strptime)
    belongs to timestamps. `unseen` says what becomes of a category or a number that the schema does not name:
    it is refused, or taken, a category as none of those known and a number as it is. The values of a
    `sensitive` column are not kept beside the data itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ColumnType
    role: Role = "feature"
    nullable: bool = False
    unseen: Literal["refuse", "take"] = "refuse"
    sensitive: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    format: str = ""
    description: str = ""

    @property
    def is_numeric(self) -> bool:
        return self.type in ("number", "integer")

    @property
    def is_string(self) -> bool:
        """Whether its values reach the features as strings: texts, and categories that no list names."""
        return self.type == "text" or (self.type == "category" and not self.categories)

    @property
    def has_clock(self) -> bool:
        """Whether its timestamps have a time of day."""
        return re.search(r"%[-_0]?[HIklMTRXcrs]", self.format) is not None

    @model_validator(mode="after")
    def check_limits(self) -> Self:
        """Refuse limits that do not fit the type."""
        if (self.type == "timestamp") != bool(self.format):
            raise ValueError("a timestamp column needs its format, such as '%Y-%m-%d', and no other column has one")
        if self.type != "category" and self.categories:
            raise ValueError(f"categories belong to type category, not {self.type}")
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("categories must differ from each other")
        if not self.is_numeric and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"minimum and maximum belong to numbers, not to type {self.type}")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("minimum is above maximum")
        if self.unseen == "take" and not (self.is_numeric or self.categories):
            raise ValueError("unseen: take belongs to numbers and to categories with a list; others have all values")
        return self


class Schema(BaseModel):
    """The table: its columns, which of them is predicted, and as what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    target: str
    columns: Annotated[dict[str, Column], Field(min_length=2)]

    @property
    def features(self) -> dict[str, Column]:
        """The columns that the model sees, by name, in the schema's order."""
        return {
            name: column for name, column in self.columns.items() if column.role == "feature" and name != self.target
        }

    @property
    def sensitive(self) -> frozenset[str]:
        """The columns whose values are not kept beside the data itself."""
        return frozenset(name for name, column in self.columns.items() if column.sensitive)

    @property
    def identifiers(self) -> list[str]:
        """The columns that name a row."""
        return [name for name, column in self.columns.items() if column.role == "identifier"]

    @property
    def groups(self) -> list[str]:
        """The columns whose values keep rows in one split, such as a customer that returns."""
        return [name for name, column in self.columns.items() if column.role == "group"]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of a classification, in the schema's order; empty for a regression."""
        return self.columns[self.target].categories

    @model_validator(mode="after")
    def check_target(self) -> Self:
        """Refuse a target that is missing or does not fit the task."""
        target = self.columns.get(self.target)
        if target is None:
            raise ValueError(f"target {self.target!r} is not one of the columns")
        if target.role != "feature":
            raise ValueError(f"target {self.target!r} cannot be {target.role}; remove its role")
        if self.task == "classification" and len(target.categories) < 2:
            wanted = "type category, with two or more categories"
            raise ValueError(f"classification needs target {self.target!r} of {wanted}")
        if self.task == "regression" and not target.is_numeric:
            raise ValueError(f"regression needs target {self.target!r} of type number or integer, not {target.type}")
        if target.unseen == "take":
            raise ValueError(f"target {self.target!r} cannot take unseen values; remove its unseen")
        if not self.features:
            raise ValueError("no column is left as a feature")
        return self


def is_same_table(one: Schema, other: Schema) -> bool:
    """Whether models of the two tables can be compared on the same rows.

    What is said of a column (`description`), whether it is logged (`sensitive`) and where it stands
    changes no row; its role, its type and what its values may be do, except for limits beyond which numbers are taken.
    """
    told = [
        {
            name: c.model_dump(exclude={"description", "sensitive", *(("minimum", "maximum") * (c.unseen == "take"))})
            for name, c in table.columns.items()
        }
        for table in (one, other)
    ]
    return (one.task, one.target, told[0]) == (other.task, other.target, told[1])
