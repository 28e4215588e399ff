"""Tables of segments of accounts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class AccountSegmentRow(Table):
    """A segment of accounts; ``definition`` holds its ``rule`` and its ``members`` conditions."""

    __tablename__ = "account_segment"
    __table_args__ = (
        Index("uq_account_segment_workspace_id_name", "workspace_id", "name", unique=True),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    segment_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    definition: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class AccountMembershipRow(Table):
    """The account is in the segment of accounts since ``entered_at``."""

    __tablename__ = "account_membership"
    __table_args__ = (Index(None, "workspace_id", "account_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    segment_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    entered_at: Mapped[datetime]
