"""The send ledger and the gate that every claim of a send reads."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Index, String, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class MessageRow(Table):
    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint(
            "workspace_id",
            "participant_id",
            "node",
            "visit",
            "channel_id",
            name="uq_message_workspace_id_participant_id_node_visit_channel_id",
        ),
        Index(
            "ix_message_run_at",
            "workspace_id",
            "run_at",
            postgresql_where=text("run_at IS NOT NULL"),
        ),
        Index("ix_message_workspace_id_id", "workspace_id", "id"),
        Index("ix_message_workspace_id_profile_id_id", "workspace_id", "profile_id", "id"),
        Index("ix_message_workspace_id_journey_id_id", "workspace_id", "journey_id", "id"),
        Index(
            "ix_message_replay_id",
            "replay_id",
            "state",
            postgresql_where=text("replay_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    participant_id: Mapped[UUID]
    node: Mapped[str]
    visit: Mapped[int]
    channel_id: Mapped[UUID]
    channel_type: Mapped[str]
    journey_id: Mapped[UUID]
    version_id: Mapped[UUID | None]
    replay_id: Mapped[UUID | None]
    """Set for replays, whose participants are virtual: no foreign keys to participants here."""
    profile_id: Mapped[UUID]
    template_id: Mapped[UUID | None]
    purpose: Mapped[str]
    required: Mapped[list[str]] = mapped_column(ARRAY(String))
    """Purposes that must be consented to when it is claimed."""
    presumed: Mapped[list[str]] = mapped_column(ARRAY(String))
    """Those of them that need no grant of this person, as the law that applies presumes it."""
    state: Mapped[str]
    reason: Mapped[str | None]
    contact: Mapped[str | None]
    content: Mapped[dict[str, Any]]
    """As rendered when the step was taken: subject, text, html; or the webhook's payload."""
    attempts: Mapped[int]
    fence: Mapped[int] = mapped_column(BigInteger)
    run_at: Mapped[datetime | None]
    """When the sender looks next; null once the state is final."""
    provider_id: Mapped[str | None]
    zone: Mapped[str | None]
    """The person's time zone, where one is known."""
    tags: Mapped[list[str]] = mapped_column(ARRAY(String), server_default="{}")
    priority: Mapped[int] = mapped_column(server_default="50")
    expires_at: Mapped[datetime | None]
    """Where the node says so."""
    reserved: Mapped[list[str]] = mapped_column(ARRAY(String), server_default="{}")
    """What it counts in, as `cap:subject`."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SendGateRow(Table):
    """What forbids or allows sends. `subject` is a profile id or a contact point.

    `state`: granted, pending, withdrawn (consent to `purpose`), suppressed, erased (any purpose:
    `*`). Consents are kept as they were said, level by level (`*`: all channels, contact points).
    """

    __tablename__ = "send_gate"
    __table_args__ = (
        Index(
            "ix_send_gate_suppressed",
            "workspace_id",
            "subject",
            postgresql_where=text("state = 'suppressed'"),
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    contact_point: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    reason: Mapped[str | None]
    """Why it is suppressed."""
    at: Mapped[datetime]
