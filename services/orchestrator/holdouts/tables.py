"""Holdouts, who was in them when, and what became of those who would have entered."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class HoldoutRow(Table):
    __tablename__ = "holdout"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    scope_id: Mapped[UUID] = mapped_column(primary_key=True)
    """A journey; the workspace itself for the global holdout."""
    salt: Mapped[str]
    buckets: Mapped[int]
    """People whose bucket is below are held out."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class HoldoutMembershipRow(Table):
    """Which buckets were held out from when to when (HO-2)."""

    __tablename__ = "holdout_membership"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    scope_id: Mapped[UUID] = mapped_column(primary_key=True)
    from_bucket: Mapped[int] = mapped_column(primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True)
    to_bucket: Mapped[int]
    """Exclusive."""
    valid_to: Mapped[datetime | None]


class HoldoutArmRow(Table):
    """The first time a person entered a journey with a holdout, or would have."""

    __tablename__ = "holdout_arm"
    __table_args__ = (Index("ix_holdout_arm_journey_id", "journey_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    journey_id: Mapped[UUID] = mapped_column(primary_key=True)
    version_id: Mapped[UUID]
    arm: Mapped[str]
    """treated, held_out (by the journey's own holdout) or globally_held_out."""
    at: Mapped[datetime]
    trigger: Mapped[dict[str, Any]]
    mixed: Mapped[bool]
    """Two people of different arms turned out to be one (HO-5)."""


class HoldoutGoalRow(Table):
    """A goal that somebody of any arm reached, counted alike for all: within the goal's window
    after they entered, or would have."""

    __tablename__ = "holdout_goal"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    journey_id: Mapped[UUID] = mapped_column(primary_key=True)
    goal: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
