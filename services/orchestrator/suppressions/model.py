"""Suppressed contact points as the API shows and takes them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SuppressionReason = Literal[
    "hard_bounce", "soft_bounces", "dead_address", "complaint", "unsubscribed"
]


class SuppressedContact(BaseModel):
    """A contact point to which nothing is sent, of no purpose."""

    model_config = ConfigDict(from_attributes=True)

    contact: str = Field(examples=["ada@example.com"])
    reason: SuppressionReason | None = Field(
        description="`hard_bounce`: the provider says that there is no such address; "
        "`dead_address`: so did the server when it was asked; `soft_bounces`: three within 30 "
        "days and nothing delivered between; `complaint`: reported as spam; `unsubscribed`: the "
        "provider was told to stop. Null where it is not known."
    )
    at: datetime


class SuppressionLift(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"contact": "ada@example.com"}]}
    )

    contact: str = Field(min_length=1, max_length=500, description="As it stands in the list.")


class SuppressionLifted(BaseModel):
    lifted: bool = Field(description="False where it was not suppressed.")
