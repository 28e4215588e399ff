"""What lies in people's inboxes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class InboxItemRow(Table):
    """A message that was delivered; its id is the message's."""

    __tablename__ = "inbox_item"
    __table_args__ = (
        Index("ix_inbox_item_workspace_id_profile_id_id", "workspace_id", "profile_id", "id"),
        Index(
            "uq_inbox_item_workspace_id_profile_id_seq",
            "workspace_id",
            "profile_id",
            "seq",
            unique=True,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    profile_id: Mapped[UUID]
    channel_id: Mapped[UUID]
    seq: Mapped[int] = mapped_column(BigInteger)
    """Grows with every change in the person's inbox: the cursor of streams."""
    title: Mapped[str]
    text: Mapped[str]
    url: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    read_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
