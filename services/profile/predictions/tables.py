"""Tables of predictions, clusterings and their runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import EMPTY_OBJECT, Table


class PredictionRow(Table):
    """A prediction or clustering. Its values are in ``profile.computed`` under ``name`` and, for
    what belongs to them, ``name.<part>``.

    ``removed_at``: it is deleted, and its row goes once no profile has a value of it any more.
    """

    __tablename__ = "prediction"
    __table_args__ = (
        Index("uq_prediction_workspace_id_name", "workspace_id", "name", unique=True),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    prediction_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    kind: Mapped[str]
    definition: Mapped[dict[str, Any]]
    refresh_hours: Mapped[int | None]
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class PredictionRunRow(Table):
    """One computation. Whoever consumes the workspace's log computes it; ``attempt`` counts how
    often one began, and only the last may write."""

    __tablename__ = "prediction_run"
    __table_args__ = (Index(None, "workspace_id", "prediction_id", "run_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    prediction_id: Mapped[UUID]
    state: Mapped[str]
    attempt: Mapped[int]
    progress: Mapped[float] = mapped_column(Float)
    as_of: Mapped[datetime]
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    people: Mapped[int]
    reason: Mapped[str | None]
    metrics: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
