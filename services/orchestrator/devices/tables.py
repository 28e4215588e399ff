"""Devices of people: what a push reaches. Removed when their address is dead."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class DeviceRow(Table):
    __tablename__ = "device"
    __table_args__ = (
        UniqueConstraint("workspace_id", "kind", "app", "token"),
        Index("ix_device_workspace_id_profile_id", "workspace_id", "profile_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    profile_id: Mapped[UUID]
    kind: Mapped[str]
    app: Mapped[str]
    token: Mapped[str]
    """The provider's token, or the endpoint of a web push subscription."""
    keys: Mapped[dict[str, Any] | None]
    """Of a web push subscription: what its messages are encrypted with."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
