"""Tables of the identity graph."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class IdentifierRow(Table):
    """Which profile an identifier belongs to now."""

    __tablename__ = "identifier"
    __table_args__ = (
        Index(None, "workspace_id", "profile_id"),
        Index(None, "workspace_id", "subject_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID]
    profile_id: Mapped[UUID]
    linked_at: Mapped[datetime]


class AliasRow(Table):
    """A merged profile's id and the living profile it stands for now."""

    __tablename__ = "alias"
    __table_args__ = (Index(None, "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    alias_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]


class MergeRow(Table):
    """Append-only: what was merged into what, with the loser as it was, so it can be undone."""

    __tablename__ = "merge"
    __table_args__ = (Index(None, "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    merge_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    merged_id: Mapped[UUID]
    message_id: Mapped[str]
    merged_at: Mapped[datetime]
    snapshot: Mapped[dict[str, Any]]


class ConflictRow(Table):
    """An identifier that events carried and that was not linked, and why; the first of them."""

    __tablename__ = "conflict"
    __table_args__ = (
        Index(
            "uq_conflict_identifier",
            *("workspace_id", "profile_id", "namespace", "value", "reason"),
            unique=True,
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    conflict_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    other_id: Mapped[UUID | None]
    namespace: Mapped[str]
    value: Mapped[str]
    reason: Mapped[str]
    message_id: Mapped[str]
    occurred_at: Mapped[datetime]
    last_at: Mapped[datetime]
    """The latest time of an event that carried it."""
    count: Mapped[int]
    """Events that carried it."""
