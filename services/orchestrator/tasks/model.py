"""Tasks as the API shows and takes them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

TaskState = Literal["open", "done", "void"]


class TaskView(BaseModel):
    """Something a journey asks people to do for one person."""

    model_config = ConfigDict(title="Task", from_attributes=True)

    id: UUID
    journey_id: UUID
    participant_id: UUID
    profile_id: UUID
    node: str
    title: str
    department: str
    state: TaskState = Field(
        description="`void`: the person went on without it, by its timeout or out of the journey."
    )
    outcome: str | None
    note: str | None
    done_by: str | None = Field(description="Who did it, as the token names them.")
    due_at: datetime
    created_at: datetime
    done_at: datetime | None


class TaskDone(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"outcome": "reached", "note": "Wants a call on Monday."}]},
    )

    outcome: str = Field(max_length=64, description="One of the node's outcomes.")
    note: str | None = Field(None, max_length=2_000)
