"""What came back about messages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from services.orchestrator.tables import Table


class ReceiptRow(Table):
    """One thing that became of one message; told again, it only counts on."""

    __tablename__ = "receipt"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    """Tells receipts of one kind apart: which link, which bounce, a person or a program."""
    automated: Mapped[bool]
    at: Mapped[datetime]
    last_at: Mapped[datetime]
    count: Mapped[int]
    detail: Mapped[dict[str, Any]]
