"""Tables of registered rules and their state."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class RuleRow(Table):
    """A registered rule. Segments are rules of kind ``segment``, or ``list`` where people are put
    into them by hand, under the segment's id; rules of which another asks how long they have held
    are of kind ``held``, kept while one asks.

    ``swept`` of ``to_sweep`` profiles were asked for the first time.
    """

    __tablename__ = "rule"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    rule_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner: Mapped[str]
    definition: Mapped[dict[str, Any]]
    watch: Mapped[bool]
    state: Mapped[str]
    swept: Mapped[int] = mapped_column(server_default=text("0"))
    to_sweep: Mapped[int] = mapped_column(server_default=text("0"))


class LeafRow(Table):
    """An event leaf of some rules. Live counting starts after ``start_offset`` of the log."""

    __tablename__ = "leaf"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    leaf_id: Mapped[str] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    start_offset: Mapped[int]
    state: Mapped[str]


class LeafStateRow(Table):
    """``LeafState`` of one leaf for one profile (times in ms since the epoch).

    ``next_change_at`` is the next ms at which a rule that reads it may change by time alone.
    """

    __tablename__ = "leaf_state"
    __table_args__ = (
        Index(
            None,
            "workspace_id",
            "next_change_at",
            postgresql_where=text("next_change_at IS NOT NULL"),
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    leaf_id: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int]
    first: Mapped[int | None]
    last: Mapped[int | None]
    recent: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    bucket_index: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    bucket_count: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    next_change_at: Mapped[int | None]


class MembershipRow(Table):
    """The rule (a segment, a watched or an inner rule) holds for the profile since ``entered_at``.

    ``next_change_at`` is the next ms at which it has held as long as some other rule asks.
    """

    __tablename__ = "membership"
    __table_args__ = (
        Index(None, "workspace_id", "rule_id", "profile_id"),
        Index(
            None,
            "workspace_id",
            "next_change_at",
            postgresql_where=text("next_change_at IS NOT NULL"),
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    rule_id: Mapped[UUID] = mapped_column(primary_key=True)
    entered_at: Mapped[datetime]
    next_change_at: Mapped[int | None]
