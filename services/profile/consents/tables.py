"""Tables of consents."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class ConsentRow(Table):
    """The state of a purpose that counts now: that of the latest event about it."""

    __tablename__ = "consent"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    at: Mapped[datetime]


class ConsentEntryRow(Table):
    """Append-only ledger: every time a purpose was said to be in another state than before."""

    __tablename__ = "consent_entry"
    __table_args__ = (Index(None, "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    purpose: Mapped[str]
    state: Mapped[str]
    at: Mapped[datetime]
    source: Mapped[str]
    message_id: Mapped[str]
