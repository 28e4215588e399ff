"""Tables of segments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class SegmentRow(Table):
    """What people call a segment and how they describe it; its rule is a ``RuleRow``."""

    __tablename__ = "segment"
    __table_args__ = (Index("uq_segment_workspace_id_name", "workspace_id", "name", unique=True),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    segment_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class SegmentVersionRow(Table):
    """Append-only: a segment as it was made and as it was replaced."""

    __tablename__ = "segment_version"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    segment_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    definition: Mapped[dict[str, Any]]
    made_by: Mapped[str]
    made_at: Mapped[datetime]


class SegmentChangeRow(Table):
    """Append-only: who entered and left a segment when."""

    __tablename__ = "segment_change"
    __table_args__ = (
        Index(None, "workspace_id", "segment_id", "change_id"),
        Index(None, "workspace_id", "profile_id", "change_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    change_id: Mapped[UUID] = mapped_column(primary_key=True)
    segment_id: Mapped[UUID]
    profile_id: Mapped[UUID]
    entered: Mapped[bool]
    at: Mapped[datetime]
