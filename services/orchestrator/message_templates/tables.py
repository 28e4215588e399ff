"""Message templates."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class MessageTemplateRow(Table):
    __tablename__ = "message_template"
    __table_args__ = (Index("ix_message_template_workspace_id_id", "workspace_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    name: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str | None]
    """None: made from what the html says."""
    html: Mapped[str | None]
    mjml: Mapped[str | None]
    """What the html was compiled from."""
    extras: Mapped[dict[str, Any] | None]
    """What only some kinds of channels read: a provider's template, its variables, a link."""
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
