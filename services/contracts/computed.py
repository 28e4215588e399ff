"""Computed traits on the wire: what is calculated from a person's events."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.rules import WhereGroup, Window

AggregateKind = Literal[
    "count",
    "sum",
    "min",
    "max",
    "average",
    "most_frequent",
    "first",
    "last",
    "unique_list",
    "unique_count",
    "days_since_first",
    "days_since_last",
]


class Aggregate(BaseModel):
    """One value per person, calculated from the events of one name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: AggregateKind = Field(
        description="`count` and `days_since_…` look at the events themselves. `sum`, `min`, `max` "
        "and `average` take the numbers of `property`, the others strings, numbers and booleans."
    )
    event: str = Field(min_length=1, max_length=500, description="The event's exact name.")
    property: str | None = Field(
        default=None,
        max_length=200,
        description="Path in the event's properties, keys joined by dots: `total`, `cart.total`. "
        "Absent for `count` and `days_since_…`, needed by all others.",
    )
    where: WhereGroup | None = Field(
        default=None, description="Only events whose properties and context pass this."
    )
    window: Window | None = Field(default=None, description="Ever, if absent.")
