"""Tables of stages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class StageModelRow(Table):
    """A published stage model: ``{"name", "stages": [{"id", "entry"}]}`` in order.

    ``swept`` of ``to_sweep`` profiles were asked for the first time.
    """

    __tablename__ = "stage_model"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[UUID] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    state: Mapped[str]
    swept: Mapped[int] = mapped_column(server_default=text("0"))
    to_sweep: Mapped[int] = mapped_column(server_default=text("0"))
    published_at: Mapped[datetime]


class StageRow(Table):
    """The stage a profile is in now. ``stalls_at``: when it will have been there for so long that
    it stalls, none once it does, or where the stage has no such time."""

    __tablename__ = "stage"
    __table_args__ = (
        Index(None, "workspace_id", "model_id", "stage_id"),
        Index(None, "workspace_id", "stalls_at", postgresql_where=text("stalls_at IS NOT NULL")),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[UUID] = mapped_column(primary_key=True)
    stage_id: Mapped[str]
    since: Mapped[datetime]
    stalls_at: Mapped[datetime | None]
    stalled: Mapped[bool] = mapped_column(server_default=text("false"))


class StageChangeRow(Table):
    """Append-only: every change of stage."""

    __tablename__ = "stage_change"
    __table_args__ = (Index(None, "workspace_id", "profile_id", "model_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    change_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    model_id: Mapped[UUID]
    from_stage: Mapped[str | None]
    to_stage: Mapped[str | None]
    at: Mapped[datetime]
