"""Replays as the API shows and takes them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.orchestrator.journeys.model import JourneyStats

Deliver = Literal["none", "sink"]
ReplayState = Literal["queued", "running", "delivering", "completed", "failed"]


class ReplayCreate(BaseModel):
    """The draft's graph runs over past events as if it had been live then."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "since": "2018-01-01T00:00:00Z",
                    "until": "2018-02-01T00:00:00Z",
                    "clock_until": "2018-02-04T00:00:00Z",
                }
            ]
        },
    )

    since: Annotated[
        AwareDatetime | None,
        Field(description="Events before are not seen, neither as anchors; from the first if null"),
    ] = None
    until: Annotated[
        AwareDatetime | None, Field(description="Events at or after are not seen; all if null.")
    ] = None
    clock_until: Annotated[
        AwareDatetime | None,
        Field(
            description="The clock runs on to here, so that delays and timeouts end; without it, "
            "to `until`, or to now."
        ),
    ] = None
    channel_id: UUID | None = Field(
        None, description="With `deliver=sink`: send every message through this sink instead."
    )


class ReplayPolicies(BaseModel):
    """What the policies of the workspace, as they were when the replay ran, make of its messages.

    Caps count this journey's messages only, and the arbiter has no other journey to compare with:
    what other journeys sent then is not replayed. Nor are consents, which have no history here.
    """

    sent: int = Field(description="Messages that would have gone out.")
    capped: dict[str, int] = Field(description="Messages skipped over a cap, by the cap's name.")
    waited_for_caps: int = Field(description="Messages that waited for room under a cap.")
    quiet_holds: int = Field(description="Messages that waited for the end of quiet hours.")
    expired: int = Field(description="Messages too old once they might have gone out.")
    withdrawn: int = Field(description="Messages taken back by a goal or exit rule as they waited.")
    unreachable: int = Field(description="Messages to people without an address on the channel.")
    waiting: int = Field(description="Messages that still wait at the end of the clock.")


class ReplayResult(BaseModel):
    entered: int = Field(description="Entries, counted by person and instance key.")
    people: int = Field(description="Different people who entered.")
    completed: int = Field(description="Left by an exit whose reason is `completed`.")
    reminded: int = Field(description="Participants a message was sent to, or would have been.")
    sends: int = Field(
        description="Messages of the journey; `policies` says which would not have gone out."
    )
    policies: ReplayPolicies | None = Field(
        None, description="Null where the workspace has no policies."
    )
    goals: dict[str, int] = Field(
        default_factory=dict,
        description="Participants who reached each goal while they were in the journey.",
    )
    messages: dict[str, int] = Field(
        default_factory=dict, description="With `deliver=sink`: messages by state, up to date."
    )
    stats: JourneyStats = Field(description="Counts per node at the end of the clock.")


class Replay(BaseModel):
    id: UUID
    journey_id: UUID
    deliver: Deliver
    state: ReplayState = Field(
        description="`delivering`: virtual time is over, messages are still on their way."
    )
    request: ReplayCreate
    result: ReplayResult | None
    problem: str | None = Field(description="Why it failed.")
    created_at: datetime
    finished_at: datetime | None
