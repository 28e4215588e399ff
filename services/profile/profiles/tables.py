"""Tables of profiles."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import EMPTY_OBJECT, Table


class ProfileRow(Table):
    """A living profile. ``created_seq`` orders profiles by age (place in the log)."""

    __tablename__ = "profile"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str | None]
    traits: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    trait_meta: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    computed: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    identifier_count: Mapped[int] = mapped_column(Integer)
    created_seq: Mapped[int]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
