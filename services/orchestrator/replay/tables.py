"""Replays: background jobs that run a graph over past events in virtual time."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class ReplayRow(Table):
    __tablename__ = "replay"
    __table_args__ = (Index("ix_replay_journey_id_id", "journey_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    journey_id: Mapped[UUID] = mapped_column(ForeignKey("journey.id"))
    graph: Mapped[dict[str, Any]]
    request: Mapped[dict[str, Any]]
    state: Mapped[str]
    """queued, running, delivering, completed or failed."""
    result: Mapped[dict[str, Any] | None]
    problem: Mapped[str | None]
    run_at: Mapped[datetime | None]
    """When a worker may take it (again): the end of a lease while it runs."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
