"""What people read and write of merges."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.orchestrator import Impact
from services.contracts.profile import ConsentState
from services.profile.consents.decide import overall
from services.profile.consents.ledger import Consents
from services.profile.merges.impact import Standing
from services.profile.merges.store import StoredMerge

Reason = Field(min_length=1, max_length=1000, description="Kept in the ledger, for people.")


class MergeCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "merged_id": "0f9d7a52-5b1e-5d3f-9c2f-3d9e0f2b6c1f",
                    "reason": "One customer with two accounts, confirmed by phone.",
                }
            ]
        },
    )

    merged_id: UUID = Field(description="The other profile, by any id that stands for it.")
    reason: str = Reason


class UndoCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "A shared tablet."}]}
    )

    reason: str = Reason


class Undone(BaseModel):
    """Who lives again since. What was sent to the one person they were stays sent."""

    at: datetime
    reason: str
    decided_by: str
    profile_id: UUID = Field(description="The profile that went on.")
    revived_id: UUID = Field(description="The id that is a profile of its own again.")


class Merge(BaseModel):
    """Two profiles that became one, by an event or because somebody said so."""

    id: UUID
    profile_id: UUID = Field(description="The profile that survived.")
    merged_id: UUID = Field(description="The one that became part of it; its id keeps resolving.")
    merged_at: datetime = Field(description="For a merge by an event, the time of the event.")
    decided_by: str | None = Field(description="Null for a merge that an event made.")
    reason: str | None = Field(description="Why somebody decided it.")
    message_id: str | None = Field(description="The event that made it; null for a decision.")
    undone: Undone | None = Field(description="Null while it stands.")


class Side(BaseModel):
    """One of the two profiles as it was."""

    traits: dict[str, Any]
    consents: dict[str, ConsentState] = Field(
        description="By purpose, what was said on all levels together."
    )
    identifiers: list[tuple[str, str]] | None = Field(
        description="Namespace and value; null for the one that survived."
    )
    segments: list[UUID] = Field(description="Segments and watched rules that held.")
    stages: dict[UUID, str] = Field(description="Stage by stage model.")
    first_seen_at: datetime | None
    last_seen_at: datetime | None


class Effect(BaseModel):
    """An entry of the change feed that followed: somebody entered, left or moved."""

    type: Literal["segment.entered", "segment.exited", "stage.changed", "rule.matched"]
    profile_id: UUID
    data: dict[str, Any]


class MergeDetail(Merge):
    """The impact ledger of a merge."""

    survivor: Side
    merged: Side
    merge_effects: list[Effect] = Field(description="What the merge changed at once.")
    undo_effects: list[Effect] = Field(
        description="What undoing it changed, once the events of both were counted anew."
    )
    recounting: bool = Field(
        description="True while events are counted anew; segments and stages of both stand still."
    )
    journeys: Impact | Literal["unknown"] = Field(
        description="Journeys and messages of the people of this merge up to now, under all ids "
        "named here; `unknown` while the orchestrator does not answer."
    )


class GraphProfile(BaseModel):
    id: UUID
    living: bool = Field(description="The one that all the others stand for.")


class GraphIdentifier(BaseModel):
    namespace: str
    value: str
    profile_id: UUID = Field(description="Where it belongs if nothing had ever been merged.")
    linked_at: datetime


class GraphMerge(BaseModel):
    merge_id: UUID
    survivor_id: UUID
    merged_id: UUID


class GraphConflict(BaseModel):
    """An identifier that an event carried and that was left where it was."""

    namespace: str
    value: str
    profile_id: UUID
    other_id: UUID | None = Field(description="Whose it stayed; null: nobody's.")
    reason: Literal["two_user_ids", "too_many_identifiers"]
    occurred_at: datetime


class PersonGraph(BaseModel):
    """A person as nodes (profiles, identifiers) and edges (merges that stand)."""

    profiles: list[GraphProfile]
    identifiers: list[GraphIdentifier] = Field(description="The first linked first.")
    merges: list[GraphMerge]
    conflicts: list[GraphConflict] = Field(description="The latest 100.")


def merge_of(stored: StoredMerge) -> Merge:
    undone = None
    if stored.unmerged_at is not None:
        undone = Undone.model_validate(
            {
                "at": stored.unmerged_at,
                "reason": stored.unmerge_reason,
                "decided_by": stored.unmerge_decided_by,
                "profile_id": stored.kept_id,
                "revived_id": stored.revived_id,
            }
        )
    return Merge(
        id=stored.merge_id,
        profile_id=stored.profile_id,
        merged_id=stored.merged_id,
        merged_at=stored.merged_at,
        decided_by=stored.decided_by,
        reason=stored.reason,
        message_id=stored.message_id or None,
        undone=undone,
    )


def side_of(snapshot: Mapping[str, Any], standing: Standing, profile_id: UUID) -> Side:
    """Out of the ledger's snapshot, and what the impact ledger says of the profile."""
    held = standing.get(str(profile_id), {})
    first, last = snapshot.get("seen") or (None, None)
    return Side(
        traits=snapshot.get("traits", {}),
        consents=overall(Consents.of(snapshot.get("consents", ())).current),
        identifiers=snapshot.get("identifiers"),
        segments=held.get("segments", []),
        stages=held.get("stages", {}),
        first_seen_at=_time(first),
        last_seen_at=_time(last),
    )


def _time(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC)
