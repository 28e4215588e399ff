"""Subscription groups as the API shows and takes them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.contracts.profile import ConsentState

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class GroupNames(BaseModel):
    model_config = ConfigDict(extra="forbid")

    en: Name = Field(examples=["Product news"])
    zh: Name = Field(examples=["产品动态"])


class SubscriptionGroupWrite(BaseModel):
    """A kind of messages that people are in or out of."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "names": {"en": "Product news", "zh": "产品动态"},
                    "channels": ["email"],
                    "purpose": "marketing",
                    "default": "opt_in",
                    "double_opt_in": True,
                }
            ]
        },
    )

    names: GroupNames
    channels: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]] = Field(
        min_length=1, max_length=10, examples=[["email"]]
    )
    purpose: str = Field(
        "marketing",
        min_length=1,
        max_length=200,
        description="What its messages are for, as people are told. A journey that sends to the "
        "group asks for the consent to its own purpose and for the membership.",
    )
    default: Literal["opt_in", "opt_out"] = Field(
        "opt_in",
        description="`opt_out`: people are in until they leave, where the law that applies to them "
        "allows that (`/api/v1/consents/policy`).",
    )
    double_opt_in: bool = Field(
        False, description="Joining counts once it was confirmed by a link sent to the address."
    )


class SubscriptionGroup(SubscriptionGroupWrite):
    id: UUID
    consent_purpose: str = Field(
        description="Membership is a consent to this purpose.",
        examples=["group:019a4f1e-7d0a-7c55-9b1e-0e3f6c2d9a11"],
    )
    created_at: datetime
    updated_at: datetime


class Subscriber(BaseModel):
    profile_id: UUID


class Subscription(BaseModel):
    """Where a person stands with a group."""

    group_id: UUID
    names: GroupNames
    channels: list[str]
    double_opt_in: bool = Field(description="Joining has to be confirmed by a link in a message.")
    state: ConsentState | None = Field(
        description="`pending`: waits for the confirmation of a double opt-in. Null: never said."
    )


class Subscriptions(BaseModel):
    items: list[Subscription]


class SubscriptionWrite(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"subscribed": True, "confirmed": False}]}
    )

    subscribed: bool
    confirmed: bool = Field(
        False, description="You know that the owner of the address confirmed a double opt-in."
    )
