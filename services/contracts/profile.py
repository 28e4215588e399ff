"""What the profile service says on the wire to the other services."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.rules import Group

ConsentState = Literal["granted", "withdrawn", "pending"]


class Identifier(BaseModel):
    """A name a person is known by, normalised."""

    namespace: str = Field(examples=["email"])
    value: str = Field(examples=["ada@example.com"])
    linked_at: datetime = Field(description="Time of the event that first carried it.")


class Profile(BaseModel):
    """A person: identifiers that belong together and what is known under them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "5c2f3d9e-7a52-5b1e-9d3f-0f2b6c1f7a10",
                    "user_id": "crm-42",
                    "traits": {"email": "ada@example.com", "plan": "pro"},
                    "masked_traits": ["blood_group"],
                    "computed": {"orders": 3, "days_since_order": 12},
                    "identifiers": [
                        {
                            "namespace": "user_id",
                            "value": "crm-42",
                            "linked_at": "2026-03-01T09:30:00Z",
                        }
                    ],
                    "consents": {"marketing": "granted"},
                    "first_seen_at": "2026-03-01T09:30:00Z",
                    "last_seen_at": "2026-03-02T10:00:00Z",
                    "merged_ids": [],
                }
            ]
        }
    )

    id: UUID
    user_id: str | None = Field(description="Null while the person is anonymous.")
    traits: dict[str, Any] = Field(
        description="The value of each trait that counts: of the sources of the highest priority, "
        "the one said last."
    )
    masked_traits: list[str] = Field(
        default_factory=list,
        description="Names of traits that are known but not shown: sensitive ones, and those of "
        "children.",
    )
    computed: dict[str, Any] = Field(
        default_factory=dict,
        description="Computed traits and predictions by name, as rules read `computed.<name>`.",
    )
    identifiers: list[Identifier] = Field(description="The most recently linked first.")
    consents: dict[str, ConsentState] = Field(
        description="By purpose: `granted` where the person may be written to on some channel; see "
        "`/consents` for channels and contact points."
    )
    first_seen_at: datetime
    last_seen_at: datetime
    merged_ids: list[UUID] = Field(
        description="Ids of profiles that were merged into this one; they keep resolving to it."
    )


class RuleRegistration(BaseModel):
    """A published rule of another service; profile keeps the state of its event leaves.

    ``PUT /internal/v1/rules/{rule_id}``. A changed rule under the same id replaces the old one.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["journey", "stage", "signal"]
    owner: str = Field(
        description="What the rule belongs to, for people: `journey <id> branch b1`."
    )
    rule: Group
    watch: bool = Field(
        False, description="Append `rule.matched` to the feed whenever the truth changes."
    )


class RuleStatus(BaseModel):
    rule_id: UUID
    state: Literal["backfilling", "ready"]


class StageDefinition(BaseModel):
    """One stage of a model. Of the stages whose entry holds, the last in order wins."""

    model_config = ConfigDict(extra="forbid")

    id: str
    entry: Group
    stalls_after_seconds: int | None = Field(
        None,
        ge=1,
        le=315_360_000,
        description="Who stays for so long stalls; the feed tells of it once (`stage.stalled`).",
    )


class StageModel(BaseModel):
    """``PUT /internal/v1/stage-models/{model_id}``: exclusive stages, first to last."""

    model_config = ConfigDict(extra="forbid")

    name: str
    stages: list[StageDefinition] = Field(min_length=1, max_length=50)


class StageModelStatus(BaseModel):
    model_id: UUID
    state: Literal["backfilling", "ready"]


class LinksWanted(BaseModel):
    """Tokens for the links of messages that are composed from the facts."""

    model_config = ConfigDict(extra="forbid")

    channel: str = Field(examples=["email"])
    purposes: list[str] = Field(max_length=500, description="What an unsubscribe link ends.")


class FactsRequest(BaseModel):
    """``POST /internal/v1/facts``: what is true of these profiles now?"""

    model_config = ConfigDict(extra="forbid")

    rule_ids: list[UUID] = Field(default_factory=list, max_length=200)
    profile_ids: list[UUID] = Field(max_length=10_000)
    min_position: int = Field(
        0, description="Answer only once profile has written this offset of its feed (503 if late)."
    )
    links: LinksWanted | None = None


class Links(BaseModel):
    """Tokens of the public paths ``/v1/preferences/``, ``/v1/unsubscribe/``, ``/v1/confirm/``."""

    preferences: str
    unsubscribe: dict[str, str] = Field(description="By purpose, on the channel asked for.")
    confirm: dict[str, str] = Field(
        description="By purpose, where a double opt-in of this person waits for confirmation."
    )


class ProfileFacts(BaseModel):
    """Facts of one asked profile; ``profile_id`` is the canonical one after merges."""

    asked_id: UUID
    profile_id: UUID
    exists: bool = True
    rules: dict[UUID, bool] = Field(default_factory=dict)
    traits: dict[str, Any] = Field(default_factory=dict)
    computed: dict[str, Any] = Field(
        default_factory=dict, description="Computed traits and predictions by name."
    )
    identifiers: dict[str, list[str]] = Field(
        default_factory=dict, description="Values by namespace, most recent first."
    )
    consents: dict[str, ConsentState] = Field(
        default_factory=dict, description="By purpose, what the law presumes included."
    )
    presumed: list[str] = Field(
        default_factory=list, description="Purposes that need no grant of this person."
    )
    non_personalised: bool = Field(
        False,
        description="The person asked for content that does not depend on who they are: traits and "
        "segments are empty here, and no rule holds but by consents.",
    )
    segments: list[UUID] = Field(default_factory=list)
    links: Links | None = None


class Facts(BaseModel):
    position: int = Field(description="Offset of the feed these facts are true at.")
    at: datetime
    profiles: list[ProfileFacts] = Field(description="In the order asked.")


class SegmentMembers(BaseModel):
    """``GET /internal/v1/segments/{segment_id}/members?cursor=&limit=``."""

    profile_ids: list[UUID]
    next_cursor: str | None = None


class ListMove(BaseModel):
    """``POST /internal/v1/segments/{segment_id}/list``: people put on a list or taken off it.

    Whoever is there already, or not, stays so; who is not known is left out.
    """

    model_config = ConfigDict(extra="forbid")

    action: Literal["add", "remove"]
    profile_ids: list[UUID] = Field(min_length=1, max_length=10_000)


class AccountSpan(BaseModel):
    """When a person was in an account: ``since`` ≤ t < ``until``, null while they still are."""

    profile_id: UUID
    since: datetime
    until: datetime | None


class AccountSpans(BaseModel):
    """``GET /internal/v1/accounts/{account_id}/spans?limit=``: whose events are the account's."""

    group_id: str
    members: list[AccountSpan] = Field(description="Those of the latest group calls first.")
