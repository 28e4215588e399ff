"""Tables of the change feed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class FeedRow(Table):
    """The change feed: blocks of packed entries (``services.kit.feeds``). ``drop`` is the bitmap of
    those that readers leave out: tombstones of erased people."""

    __tablename__ = "feed"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    partition: Mapped[str] = mapped_column(primary_key=True)
    offset: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
    data: Mapped[bytes]
    drop: Mapped[bytes | None]
