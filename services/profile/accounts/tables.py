"""Tables of accounts: the companies people belong to."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import EMPTY_OBJECT, Table


class AccountRow(Table):
    """An account. ``group_id`` is its sender's name for it; times are those of its group calls."""

    __tablename__ = "account"
    __table_args__ = (
        Index("uq_account_workspace_id_group_id", "workspace_id", "group_id", unique=True),
        Index(None, "workspace_id", "parent_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    group_id: Mapped[str]
    traits: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    trait_meta: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    parent_id: Mapped[UUID | None]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class AccountMemberRow(Table):
    """A person in an account. Who was removed stays as a row, so that late calls change nothing.

    ``roles_at``: when the roles were said; ``last_at``: the latest group call, of which a person's
    latest makes the primary account; ``source``: where that call came from.
    """

    __tablename__ = "account_member"
    __table_args__ = (Index(None, "workspace_id", "profile_id", "last_at"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    roles_at: Mapped[datetime | None]
    since: Mapped[datetime]
    last_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    source: Mapped[str]


class AccountSweepRow(Table):
    """An account with too many members to ask in one transaction; those up to ``after`` were."""

    __tablename__ = "account_sweep"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    after: Mapped[UUID]
