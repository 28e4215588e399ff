"""Tables of partners who are told of changes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class ChangeSubscriptionRow(Table):
    """A partner's URL. Entries of the feed up to (``offset``, ``entry``) were delivered; what was
    sent once and not taken yet ends at (``sent_offset``, ``sent_entry``).

    ``state``: ``active``, ``paused`` (by a person) or ``failed`` (nobody took it for days).
    """

    __tablename__ = "change_subscription"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    subscription_id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret: Mapped[str]
    state: Mapped[str]
    offset: Mapped[int]
    entry: Mapped[int] = mapped_column(Integer)
    sent_offset: Mapped[int | None]
    sent_entry: Mapped[int | None] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failing_since: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime]
    last_answer: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime]
