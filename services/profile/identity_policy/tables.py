"""The table of identity policies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class IdentityPolicyRow(Table):
    """A version never changes: reading the log again must find the limits of then."""

    __tablename__ = "identity_policy"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    namespaces: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    from_seq: Mapped[int]
    """The place in the log from which its limits count."""
    changed_at: Mapped[datetime]
    in_force: Mapped[bool]
    """Whether tracking has it, so that ingestion reads events by it."""
