"""Tables of segments."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
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
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
