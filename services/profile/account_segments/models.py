"""Segments of accounts on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.contracts.rules import Group
from services.kit.pagination import Page

_GOLD: dict[str, Any] = {
    "combinator": "and",
    "rules": [{"field": "account.tier", "operator": "=", "value": "gold"}],
}
EXAMPLES: list[dict[str, Any]] = [
    {
        "name": "Gold accounts with a decider",
        "description": "Somebody there can say yes",
        "rule": _GOLD,
        "members": [{"quantifier": "at_least", "count": 1, "role": "decider"}],
    },
    {
        "name": "Gold accounts whose buyers are convinced",
        "rule": _GOLD,
        "members": [
            {
                "quantifier": "every",
                "role": "buyer",
                "segment_id": "01890a5d-ac96-774b-bcce-b302099a8057",
            },
        ],
    },
]


class MembersCondition(BaseModel):
    """How many of the people in an account (with a role) are in a segment of people."""

    model_config = ConfigDict(extra="forbid")

    quantifier: Literal["some", "every", "none", "at_least"] = Field(
        description="`every` asks for at least one such person: an account without buyers is not "
        "one whose buyers all agree."
    )
    count: int | None = Field(None, ge=1, le=100_000, description="For `at_least`, and only there.")
    role: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True)] | None = Field(
        None,
        min_length=1,
        max_length=50,
        pattern=r"^[^\x00]+$",
        description="Only people with this role are looked at; everybody, if absent.",
    )
    segment_id: UUID | None = Field(
        None,
        description="A segment of people, which may ask what they did. Absent: people are counted "
        "whatever segment they are in; `every` needs one.",
    )


class AccountSegmentCreate(BaseModel):
    """A name, and what holds for the accounts in it: the rule and all of `members`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [*EXAMPLES]})

    name: str = Field(
        min_length=1, max_length=200, pattern=r"\S", description="Unique in the workspace."
    )
    description: str = Field("", max_length=2000)
    rule: Group = Field(
        default_factory=lambda: Group(rules=[]),
        description="Conditions on `account.<trait>`, `account.$group_id` and nothing else; "
        "without conditions it holds for every account.",
    )
    members: list[MembersCondition] = Field([], max_length=10)


class AccountSegment(BaseModel):
    id: UUID
    name: str
    description: str
    rule: dict[str, Any] = Field(description="As it was sent, ready for a rule editor.")
    members: list[MembersCondition]
    accounts: int = Field(description="How many accounts are in it now.")
    created_at: datetime
    updated_at: datetime


class AccountInSegment(BaseModel):
    account_id: UUID
    group_id: str
    entered_at: datetime


class AccountInSegmentPage(Page[AccountInSegment]):
    """Accounts in a segment of accounts, by id."""
