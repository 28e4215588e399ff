"""Journeys: the draft people edit, and the immutable versions that run."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, false, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class JourneyRow(Table):
    __tablename__ = "journey"
    __table_args__ = (
        Index("ix_journey_workspace_id_id", "workspace_id", "id", unique=True),
        Index("uq_journey_workspace_id_key", "workspace_id", "key", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    name: Mapped[str]
    state: Mapped[str]
    """draft, live, paused or archived."""
    key: Mapped[str]
    """What files call it by; never changes."""
    discarding: Mapped[bool] = mapped_column(server_default=false())
    """While it is paused: whoever is due leaves."""
    releasing: Mapped[bool] = mapped_column(server_default=false())
    """It was resumed, and those whose time came meanwhile are not yet spread."""
    draft: Mapped[dict[str, Any]]
    draft_revision: Mapped[int]
    live_version_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class JourneyVersionRow(Table):
    __tablename__ = "journey_version"
    __table_args__ = (
        Index("uq_journey_version_journey_id_number", "journey_id", "number", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    journey_id: Mapped[UUID] = mapped_column(ForeignKey("journey.id"))
    number: Mapped[int]
    graph: Mapped[dict[str, Any]]
    warnings: Mapped[list[Any]]
    successor_id: Mapped[UUID | None]
    """The version that takes over those still inside this one."""
    move: Mapped[dict[str, Any] | None]
    """How: a ``moving.Move``."""
    published_at: Mapped[datetime] = mapped_column(server_default=func.now())
