"""Policies, and what caps have counted."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class PolicyRow(Table):
    """A version of a workspace's policies; the highest is the one that holds."""

    __tablename__ = "policy"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[dict[str, Any]]
    written_by: Mapped[str]
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CapUseRow(Table):
    """What one cap has counted of one person (a profile id) or address.

    ``uses``: message id → when it was reserved, ms. Locked by who reserves, so that two senders
    never let through one message too many.
    """

    __tablename__ = "cap_use"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    cap: Mapped[str] = mapped_column(primary_key=True)
    uses: Mapped[dict[str, Any]]


class QuietQueueRow(Table):
    """How many messages of a channel wait for the same end of quiet hours."""

    __tablename__ = "quiet_queue"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    channel_id: Mapped[UUID] = mapped_column(primary_key=True)
    opens_at: Mapped[datetime] = mapped_column(primary_key=True)
    taken: Mapped[int]
