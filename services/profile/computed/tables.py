"""Tables of computed traits."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class ComputedTraitRow(Table):
    """A name below ``computed.``: a computed trait, or a prediction (no definition).

    ``state``: ``backfilling`` until its past is counted, ``sweeping`` while everybody's value is
    written, ``ready``; ``removing`` while the values of a deleted one are taken away.
    """

    __tablename__ = "computed_trait"
    __table_args__ = (
        Index("uq_computed_trait_workspace_id_name", "workspace_id", "name", unique=True),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    trait_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    definition: Mapped[dict[str, Any] | None]
    aggregate_id: Mapped[str | None]
    description: Mapped[dict[str, Any]]
    state: Mapped[str]
    progress: Mapped[float] = mapped_column(Float(53))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class AggregateRow(Table):
    """What is counted for some traits. Live counting starts after ``start_offset`` of the log.

    ``state``: ``backfilling`` while the past is fetched, by the run ``run_id``; ``folding`` while
    it lies beside what was counted live, whole; ``ready``.
    """

    __tablename__ = "aggregate"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    aggregate_id: Mapped[str] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    start_offset: Mapped[int]
    state: Mapped[str]
    run_id: Mapped[UUID | None]


class ComputedStateRow(Table):
    """What is remembered of one profile's events for one aggregate, as JSON text.

    ``next_change_at`` is the next ms at which a value or a rule that reads it may change by time
    alone.
    """

    __tablename__ = "computed_state"
    __table_args__ = (
        Index(
            None,
            "workspace_id",
            "next_change_at",
            postgresql_where=text("next_change_at IS NOT NULL"),
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    aggregate_id: Mapped[str] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    next_change_at: Mapped[int | None]


class ComputedPastRow(Table):
    """The same of the events before live counting began, until it is added to that."""

    __tablename__ = "computed_past"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    aggregate_id: Mapped[str] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
