"""When the journeys with a schedule let their audience in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class ScheduleRow(Table):
    """One per live journey with a schedule; gone once there is no further time."""

    __tablename__ = "schedule"

    journey_id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    version_id: Mapped[UUID]
    occurrence_at: Mapped[datetime]
    """The time whose audience enters next, or is entering now."""
    cursor: Mapped[str | None]
    """How far the audience of ``occurrence_at`` came in; null before its first page."""
