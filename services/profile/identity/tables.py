"""Tables of the identity graph."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class IdentifierRow(Table):
    """Which profile an identifier belongs to now.

    ``origin_id`` never changes: the profile it would belong to had nothing ever been merged.
    """

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
    origin_id: Mapped[UUID]
    linked_at: Mapped[datetime]


class AliasRow(Table):
    """A merged profile's id and the living profile it stands for now."""

    __tablename__ = "alias"
    __table_args__ = (Index(None, "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    alias_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]


class MergeRow(Table):
    """Append-only: what was merged into what, both as they were, so that it can be undone.

    A merge is an edge between two of the profiles that the sides were made of: the origins of the
    identifiers by which it was noticed. Edges that are not undone hold a person's ids together.
    """

    __tablename__ = "merge"
    __table_args__ = (
        Index(None, "workspace_id", "survivor_origin_id"),
        Index(None, "workspace_id", "merged_origin_id"),
        Index(None, "workspace_id", "merged_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    merge_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    merged_id: Mapped[UUID]
    survivor_origin_id: Mapped[UUID]
    merged_origin_id: Mapped[UUID]
    message_id: Mapped[str]
    merged_at: Mapped[datetime]
    snapshot: Mapped[dict[str, Any]]
    """The profile that was merged away, as it was."""
    survivor: Mapped[dict[str, Any]]
    """The other one, as it was."""
    reason: Mapped[str | None]
    decided_by: Mapped[str | None]
    """Who said so; null for a merge that an event made."""


class ConflictRow(Table):
    """An identifier that events carried and that was not linked, and why; the first of them."""

    __tablename__ = "conflict"
    __table_args__ = (
        Index(None, "workspace_id", "other_id"),
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
