"""What was done by hand."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class InterventionRow(Table):
    __tablename__ = "intervention"
    __table_args__ = (Index("ix_intervention_journey_id_id", "journey_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    journey_id: Mapped[UUID]
    action: Mapped[str]
    who: Mapped[dict[str, Any]]
    to: Mapped[str | None]
    reason: Mapped[str]
    people: Mapped[int]
    passed_over: Mapped[int]
    more: Mapped[bool]
    by: Mapped[str]
    at: Mapped[datetime]
