"""Tables of the consumer of the log."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class ConsumerRow(Table):
    """How far a partition of the log is applied. Ids only, no fence: workers walk all of them.

    Whoever writes anything of a workspace holds this row's lock, so that the log, API calls and
    timers change a profile one after the other.
    """

    __tablename__ = "consumer"

    partition: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    log_offset: Mapped[int] = mapped_column(server_default=text("0"))
    rules_revision: Mapped[int] = mapped_column(server_default=text("0"))


class QuarantineRow(Table):
    """An event of the log that PostgreSQL refused; ``event`` is packed as in the log."""

    __tablename__ = "quarantine"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str]
    reason: Mapped[str]
    event: Mapped[bytes]
    at: Mapped[datetime]
