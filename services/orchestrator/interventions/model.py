"""What may be done by hand to people inside a journey."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.orchestrator.journeys.shapes import NodeId, Strict

LARGEST = 10_000
"""How many people one intervention takes: what one transaction does well."""
Action = Literal["exit", "move", "retry"]


class Selection(Strict):
    """Whom it is about: those who are inside the journey and to whom all of these apply."""

    participant_ids: list[UUID] | None = Field(None, min_length=1, max_length=LARGEST)
    profile_ids: list[UUID] | None = Field(None, min_length=1, max_length=LARGEST)
    node: NodeId | None = None
    version: int | None = Field(None, ge=1, le=1_000_000)
    overdue_seconds: int | None = Field(
        None,
        ge=0,
        le=31_536_000,
        description="Should have gone on so long ago, and did not: whoever is stuck.",
    )


class InterventionCreate(Strict):
    """Said again with the same `Idempotency-Key` it is answered as the first time."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "action": "move",
                    "who": {"node": "wait_a_day"},
                    "to": "remind",
                    "reason": "The offer ends tonight.",
                }
            ]
        },
    )

    action: Action = Field(
        description="`exit`: out of the journey, with the reason `removed`; what waits in the "
        "ledger for them is skipped. `move`: to the node `to`, as if they came there now. "
        "`retry`: looked at now, whatever held them."
    )
    who: Selection
    to: NodeId | None = Field(None, description="Of `move`.")
    reason: str = Field(min_length=1, max_length=500, description="Kept with it.")
    dry_run: bool = Field(False, description="Only tell how many it would be.")

    @model_validator(mode="after")
    def _target(self) -> Self:
        if (self.action == "move") != (self.to is not None):
            raise ValueError("`to` belongs to `move`, and only to it")
        return self


class Intervention(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    dry_run: bool = Field(False, description="Nothing was done, and nothing is kept of it.")
    journey_id: UUID
    action: Action
    who: Selection
    to: str | None
    reason: str
    people: int = Field(description=f"To how many it was done; at most {LARGEST} at once.")
    passed_over: int = Field(
        description="Of `move`: those in a version that has no such node; they stay."
    )
    more: bool = Field(description="There were more of them: ask again.")
    by: str
    at: datetime
