"""Tables of undone merges and of what merges and their undoing did to people."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class UnmergeRow(Table):
    """Append-only: a merge that was undone. ``revived_id`` lives again, ``profile_id`` goes on."""

    __tablename__ = "unmerge"
    __table_args__ = (Index(None, "workspace_id", "feed_offset"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    merge_id: Mapped[UUID] = mapped_column(primary_key=True)
    unmerge_id: Mapped[UUID]
    profile_id: Mapped[UUID]
    revived_id: Mapped[UUID]
    reason: Mapped[str]
    decided_by: Mapped[str]
    unmerged_at: Mapped[datetime]
    feed_offset: Mapped[int]
    """The row of the change feed that tells of it."""
    snapshot: Mapped[dict[str, Any]]
    """The profile as it was before."""


class ImpactRow(Table):
    """What a merge or its undoing (``action``) met and changed; no row where that is nothing."""

    __tablename__ = "impact"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    merge_id: Mapped[UUID] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(primary_key=True)
    before: Mapped[dict[str, Any]]
    """By profile id: ``{"segments": [id, …], "stages": {model id: stage id}}``."""
    changes: Mapped[list[Any]] = mapped_column(JSONB)
    """Entries of the change feed that followed at once: ``{"type", "profile_id", "data"}``."""
