"""Configured channels. What is secret lies apart and is never read by the API."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class ChannelRow(Table):
    __tablename__ = "channel"
    __table_args__ = (Index("ix_channel_workspace_id_id", "workspace_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    name: Mapped[str]
    type: Mapped[str]
    sink: Mapped[bool]
    """Where its messages go nobody reads them: only such channels may deliver replays."""
    config: Mapped[dict[str, Any]]
    secrets: Mapped[dict[str, Any]]
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
