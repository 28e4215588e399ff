"""Tables of erasures."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import EMPTY_OBJECT, Table


class ErasureRow(Table):
    """An erasure. ``work`` is sealed and says whom it is about; finished, nothing does.

    The feed is rewritten up to ``feed_end``, of which ``feed_done`` is done. ``parts`` holds by
    service ``{"state", "verified", "stores"}``; ``tracking_id`` is tracking's own erasure.
    """

    __tablename__ = "erasure"
    __table_args__ = (
        Index("ix_erasure_open", "erasure_id", postgresql_where=text("finished_at IS NULL")),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    erasure_id: Mapped[UUID] = mapped_column(primary_key=True)
    reason: Mapped[str]
    work: Mapped[bytes | None]
    feed_end: Mapped[int]
    feed_done: Mapped[int] = mapped_column(server_default=text("0"))
    compacted_at: Mapped[datetime | None]
    tracking_id: Mapped[UUID | None]
    parts: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    verified: Mapped[bool | None]


class SuppressionRow(Table):
    """A keyed hash of a subject of an erased person: its events are dropped, those before
    ``lifted_at`` for ever."""

    __tablename__ = "suppression"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    mark: Mapped[bytes] = mapped_column(primary_key=True)
    erasure_id: Mapped[UUID]
    suppressed_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]


class ConsentProofRow(Table):
    """A line of an erased person's consent ledger, without the person, until ``keep_until``.

    Whoever comes with an identifier finds the erasure by its mark in ``suppression``.
    """

    __tablename__ = "consent_proof"
    __table_args__ = (Index(None, "workspace_id", "erasure_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    proof_id: Mapped[UUID] = mapped_column(primary_key=True)
    erasure_id: Mapped[UUID]
    purpose: Mapped[str]
    state: Mapped[str]
    at: Mapped[datetime]
    source: Mapped[str]
    keep_until: Mapped[datetime]
