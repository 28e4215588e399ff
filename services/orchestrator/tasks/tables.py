"""What journeys ask people to do."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class TaskRow(Table):
    __tablename__ = "task"
    __table_args__ = (
        Index("ix_task_workspace_id_id", "workspace_id", "id"),
        Index("uq_task_participant_id_node_visit", "participant_id", "node", "visit", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    journey_id: Mapped[UUID]
    participant_id: Mapped[UUID]
    profile_id: Mapped[UUID]
    node: Mapped[str]
    visit: Mapped[int]
    title: Mapped[str]
    department: Mapped[str]
    outcome: Mapped[str | None]
    """Set once somebody has done it."""
    note: Mapped[str | None]
    done_by: Mapped[str | None]
    due_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]
