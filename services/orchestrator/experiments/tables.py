"""Experiments, and who was shown which variant."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class ExperimentRow(Table):
    __tablename__ = "experiment"
    __table_args__ = (Index("ix_experiment_workspace_id_id", "workspace_id", "id", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    state: Mapped[str]
    """draft, running or stopped."""
    spec: Mapped[dict[str, Any]]
    """An ``ExperimentCreate``; it changes in a draft only."""
    decision: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]


class ExposureRow(Table):
    """The first time a person came to an experiment: which variant they have for ever (SP-1)."""

    __tablename__ = "exposure"
    __table_args__ = (Index("ix_exposure_workspace_id_profile_id", "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    experiment_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    participant_id: Mapped[UUID]
    journey_id: Mapped[UUID]
    version_id: Mapped[UUID]
    variant: Mapped[str]
    probability: Mapped[float]
    """With which the chooser chose this variant for this person."""
    chooser: Mapped[str]
    at: Mapped[datetime]
    mixed: Mapped[bool]
    """Two people who were shown different variants turned out to be one (SP-4)."""
