"""Tables of journey maps."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class JourneyMapRow(Table):
    """One map; ``version`` counts its changes and fences concurrent editors."""

    __tablename__ = "journey_map"
    __table_args__ = (Index("ix_journey_map_page", "workspace_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
