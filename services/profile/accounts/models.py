"""Accounts on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from services.kit.pagination import Page
from services.profile.accounts.calls import MAX_ROLE_LENGTH, MAX_ROLES

Role = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ROLE_LENGTH, pattern=r"^[^\x00]*\S[^\x00]*$"),
]


def _not_ours(name: str) -> str:
    if name.startswith("$") or "\x00" in name:
        raise ValueError("A name that does not begin with $ is accepted.")
    return name


# What begins with $ is ours in rules: account.$roles.
TraitName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_not_ours)]
AccountTraits = dict[TraitName, JsonValue]
NAMES = "Names do not begin with `$`."


class AccountCreate(BaseModel):
    """An account that no group call has named yet."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"group_id": "acme-holding", "traits": {"name": "Acme"}}]},
    )

    group_id: str = Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00]*\S[^\x00]*$",
        description="The `groupId` that group calls say; never changes.",
    )
    traits: AccountTraits = Field({}, max_length=100, description=f"By name. {NAMES}")
    parent_id: UUID | None = Field(None, description="The account right above this one.")


class AccountPatch(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"traits": {"tier": "gold", "discount": None}}]},
    )

    traits: AccountTraits = Field(
        {}, max_length=100, description=f"By name; null deletes a trait. {NAMES}"
    )
    parent_id: UUID | None = Field(
        None, description="The account right above; null makes it a top one. Absent: unchanged."
    )


class Account(BaseModel):
    """A company people belong to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "5c2f3d9e-7a52-5b1e-9d3f-0f2b6c1f7a10",
                    "group_id": "acme",
                    "traits": {"name": "Acme", "tier": "gold"},
                    "parent_id": None,
                    "members": 12,
                    "first_seen_at": "2026-03-01T09:30:00Z",
                    "last_seen_at": "2026-03-02T10:00:00Z",
                }
            ]
        }
    )

    id: UUID
    group_id: str = Field(description="The `groupId` of its group calls.")
    traits: dict[str, Any] = Field(description="The latest value of each trait, by event time.")
    parent_id: UUID | None = Field(description="The account right above; null for a top one.")
    members: int = Field(description="People in it now.")
    first_seen_at: datetime = Field(description="Time of the earliest group call about it.")
    last_seen_at: datetime = Field(description="Time of the latest group call about it.")


class Accounts(BaseModel):
    items: list[Account]


class AccountMember(BaseModel):
    """A person in an account."""

    profile_id: UUID
    roles: list[str] = Field(
        description="In small letters: `decider`, `user`, `buyer`, `influencer`, `gatekeeper`, "
        "`champion` or any other.",
        examples=[["buyer", "decider"]],
    )
    since: datetime = Field(
        description="Time of the earliest group call, or when it was said here."
    )
    source_id: str = Field(description="The source of the latest group call; `api` if none.")


class AccountMemberPut(BaseModel):
    """What the person is in the account; replaces the roles before."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"roles": ["decider", "champion"]}]}
    )

    roles: list[Role] = Field(max_length=MAX_ROLES, description="Case does not matter.")


class AccountMemberPage(Page[AccountMember]):
    """People in an account."""


class ProfileAccount(BaseModel):
    account_id: UUID
    group_id: str
    name: str | None = Field(description="The account's trait `name`, if it has one.")
    roles: list[str]
    since: datetime
    primary: bool = Field(description="Whether rules read this one as `account.…`.")


class ProfileAccounts(BaseModel):
    items: list[ProfileAccount] = Field(
        description="The one of the latest group call first; at most 100."
    )


class AccountSegmentOf(BaseModel):
    segment_id: UUID
    name: str
    entered_at: datetime


class AccountSegmentsOf(BaseModel):
    items: list[AccountSegmentOf] = Field(description="By name.")
