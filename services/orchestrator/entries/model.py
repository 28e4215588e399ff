"""Letting people into a journey by the API."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class EntryPerson(BaseModel):
    """Somebody to let in."""

    model_config = ConfigDict(extra="forbid")

    profile_id: UUID
    properties: dict[str, Any] = Field(
        default_factory=dict,
        description="Over those of the request; templates read them as `event.properties`, and the "
        "journey's instance key is taken from them.",
    )


class EntryCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "people": [
                        {
                            "profile_id": "5c2f3d9e-7a52-5b1e-9d3f-0f2b6c1f7a10",
                            "properties": {"order_id": "A-17"},
                        }
                    ],
                    "properties": {"campaign": "spring"},
                }
            ]
        },
    )

    people: list[EntryPerson] = Field(min_length=1, max_length=1_000)
    properties: dict[str, Any] = Field(default_factory=dict, description="Of all of them.")


class Entered(BaseModel):
    profile_id: UUID
    participant_id: UUID


class NotEntered(BaseModel):
    index: int = Field(description="Place in `people`, from 0.")
    profile_id: UUID
    reason: Literal[
        "not_in_audience",
        "holdout",
        "journey_holdout",
        "capped",
        "entered_before",
        "no_instance_key",
        "no_profile",
    ] = Field(
        description="`entered_before`: they are in it, or may not come back (yet). `capped`: the "
        "journey's cap is reached. `holdout`, `journey_holdout`: held out, of all journeys or of "
        "this one. `no_instance_key`: a property of the instance key is missing."
    )


class Entries(BaseModel):
    """The others of the request are let in whatever became of one."""

    entered: list[Entered]
    refused: list[NotEntered]
