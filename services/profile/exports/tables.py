"""Tables of copies of a person's data."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class ProfileExportRow(Table):
    """A copy that was asked for. ``state``: ``running`` until it is ``ready``."""

    __tablename__ = "profile_export"
    __table_args__ = (
        Index("ix_profile_export_open", "export_id", postgresql_where=text("state = 'running'")),
        Index(None, "workspace_id", "profile_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    export_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    state: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(server_default=text("0"))
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]


class ProfileExportPartRow(Table):
    """A piece of the file, in order of ``number``."""

    __tablename__ = "profile_export_part"
    __table_args__ = (Index(None, "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    export_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    profile_id: Mapped[UUID]
    data: Mapped[bytes]
