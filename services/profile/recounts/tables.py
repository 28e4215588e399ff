"""Tables of profiles whose events are counted anew."""

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class RecountRow(Table):
    """A profile whose leaf states are not its own until they are counted anew, after an unmerge.

    ``start_offset``: live counting began again after this place of the log; null until it did.
    """

    __tablename__ = "recount"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    merge_id: Mapped[UUID]
    start_offset: Mapped[int | None]
