"""Sweeps that are under way."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Index, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class SweepRow(Table):
    """``kind``: `resume` (those whose time came ``before`` the resume) or `move` (those in
    ``version_ids``, up to ``cursor`` done). Gone when it is over."""

    __tablename__ = "sweep"
    __table_args__ = (Index("ix_sweep_workspace_id_journey_id", "workspace_id", "journey_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    journey_id: Mapped[UUID]
    kind: Mapped[str]
    version_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    per_minute: Mapped[int | None]
    """How many are released per minute; None: all at once."""
    cursor: Mapped[UUID | None]
    before: Mapped[datetime]
    next_at: Mapped[datetime]
    """When the next one is released."""
