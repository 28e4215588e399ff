"""The inbox as front ends see it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

LONGEST_TOKEN_SECONDS = 86_400


class InboxTokenCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"profile_id": "018f0000-0000-7000-8000-000000000000"}]},
    )

    profile_id: UUID = Field(description="Who the front end shows the inbox to.")
    expires_in_seconds: int = Field(3_600, ge=60, le=LONGEST_TOKEN_SECONDS)


class InboxToken(BaseModel):
    """Lets a front end read and mark one person's inbox, and do nothing else."""

    token: str
    profile_id: UUID = Field(description="The living profile, where the one named was merged.")
    expires_at: datetime


class InboxItem(BaseModel):
    """One message in an inbox."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(description="The message's id.")
    title: str
    text: str
    url: str | None = Field(description="Where it leads, if anywhere.")
    data: dict[str, Any] = Field(description="What the template gives the app besides.")
    created_at: datetime
    read_at: datetime | None
    archived_at: datetime | None


class Inbox(BaseModel):
    """A page of an inbox, newest first, without what is archived."""

    items: list[InboxItem]
    next_cursor: str | None = Field(
        description="Pass it as `cursor` for the next page; null on the last one."
    )
    unread: int = Field(description="Of the whole inbox, not of this page.")
