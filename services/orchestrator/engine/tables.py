"""The engine's state: who is where, what may never happen again, and what is still to be told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class FeedPositionRow(Table):
    """How far profile's change feed was applied; moves in the transaction of the effects."""

    __tablename__ = "feed_position"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)


class EntryRow(Table):
    """Tiny and permanent: "never again" must outlive the participants (semantics RE-2, RE-3)."""

    __tablename__ = "entry"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    journey_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    ledger_key: Mapped[str] = mapped_column(primary_key=True)
    rotation: Mapped[int]
    active: Mapped[bool]
    exited_at: Mapped[datetime | None]


class EntryCountRow(Table):
    """How many entered a journey with a cap, within the hour or day that began at ``since``."""

    __tablename__ = "entry_count"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    journey_id: Mapped[UUID] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    people: Mapped[int]


class EffectRow(Table):
    """What other services are still to be told to do (see ``effect_store``)."""

    __tablename__ = "effect"
    __table_args__ = (Index("ix_effect_workspace_id_id", "workspace_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    workspace_id: Mapped[UUID]
    profile_id: Mapped[UUID]
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]


class ConversionRow(Table):
    """A goal that a participant reached; each once."""

    __tablename__ = "conversion"
    __table_args__ = (Index("ix_conversion_journey_id", "journey_id", "goal"),)

    workspace_id: Mapped[UUID]
    participant_id: Mapped[UUID] = mapped_column(primary_key=True)
    goal: Mapped[str] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    journey_id: Mapped[UUID]
    version_id: Mapped[UUID]
    at: Mapped[datetime]
    value: Mapped[float | None]


class ParticipantRow(Table):
    __tablename__ = "participant"
    __table_args__ = (
        Index(
            "uq_participant_journey_id_profile_id_ledger_key_rotation",
            "journey_id",
            "profile_id",
            "ledger_key",
            "rotation",
            unique=True,
        ),
        Index(
            "ix_participant_run_at",
            "workspace_id",
            "run_at",
            postgresql_where=text("run_at IS NOT NULL"),
        ),
        Index(
            "ix_participant_live_profile",
            "workspace_id",
            "profile_id",
            postgresql_where=text("run_at IS NOT NULL"),
        ),
        Index(
            "ix_participant_left_profile",
            "workspace_id",
            "profile_id",
            postgresql_where=text("run_at IS NULL"),
        ),
        Index("ix_participant_journey_id_id", "journey_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    journey_id: Mapped[UUID] = mapped_column(ForeignKey("journey.id"))
    version_id: Mapped[UUID] = mapped_column(ForeignKey("journey_version.id"))
    profile_id: Mapped[UUID]
    instance_key: Mapped[str]
    ledger_key: Mapped[str]
    """What re-entry is judged by: the instance key, or empty for one at a time per person."""
    rotation: Mapped[int]
    state: Mapped[str]
    """due (a step is to be run), waiting (parked until due_at or an event) or exited."""
    node: Mapped[str]
    visit: Mapped[int]
    """Counts arrivals at nodes, so (participant, node, visit) names one arrival for ever."""
    arrived_at: Mapped[datetime]
    due_at: Mapped[datetime]
    awaits: Mapped[bool]
    """Waits for events, so that its time is up only once the feed is known up to then."""
    best: Mapped[int]
    """The best branch of a ranked wait that came true so far; -1 for none."""
    trigger: Mapped[dict[str, Any]]
    context: Mapped[dict[str, Any]]
    """What answers of webhooks left, by name, for templates."""
    entered_at: Mapped[datetime]
    exited_at: Mapped[datetime | None]
    exit_reason: Mapped[str | None]
    run_at: Mapped[datetime | None]
    """When the executor looks next: due_at, or the end of a lease; null once exited."""
    fence: Mapped[int] = mapped_column(BigInteger)


class MissedEventRow(Table):
    """An awaited event that came while its participant was on the way to the wait (WU-2)."""

    __tablename__ = "missed_event"

    workspace_id: Mapped[UUID]
    participant_id: Mapped[UUID] = mapped_column(
        ForeignKey("participant.id", ondelete="CASCADE"), primary_key=True
    )
    message_id: Mapped[str] = mapped_column(primary_key=True)
    event: Mapped[str]
    occurred_at: Mapped[datetime]
    properties: Mapped[dict[str, Any]]
    context: Mapped[dict[str, Any]]


class AnchorRow(Table):
    """The latest anchor event, and the latest event that bars entry, per person and match key."""

    __tablename__ = "anchor"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    journey_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    match_key: Mapped[str] = mapped_column(primary_key=True)
    anchor_at: Mapped[datetime | None]
    anchor_message_id: Mapped[str | None]
    blocked_at: Mapped[datetime | None]


class FlowRow(Table):
    """How many went from node to node: `@entry` is where all come from, `@exit` where they go."""

    __tablename__ = "flow"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    version_id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class OutboxRow(Table):
    """A block of outcomes on its way to tracking."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_workspace_id_id", "workspace_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    workspace_id: Mapped[UUID]
    count: Mapped[int]
    data: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
