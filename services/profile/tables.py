"""The tables this service owns. No other service reads or writes them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

EMPTY_OBJECT = text("'{}'::jsonb")


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own way of declaring it
        str: Text,
        int: BigInteger,
        bool: Boolean,
        bytes: LargeBinary,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
    }


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


class FeedRow(Table):
    """The change feed: blocks of packed entries (``services.kit.feeds``)."""

    __tablename__ = "feed"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    partition: Mapped[str] = mapped_column(primary_key=True)
    offset: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
    data: Mapped[bytes]


class QuarantineRow(Table):
    """An event of the log that PostgreSQL refused; ``event`` is packed as in the log."""

    __tablename__ = "quarantine"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str]
    reason: Mapped[str]
    event: Mapped[bytes]
    at: Mapped[datetime]


class ProfileRow(Table):
    """A living profile. ``created_seq`` orders profiles by age (place in the log)."""

    __tablename__ = "profile"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str | None]
    traits: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    trait_times: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    identifier_count: Mapped[int] = mapped_column(Integer)
    created_seq: Mapped[int]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class IdentifierRow(Table):
    """Which profile an identifier belongs to now."""

    __tablename__ = "identifier"
    __table_args__ = (
        Index(None, "workspace_id", "profile_id"),
        Index(None, "workspace_id", "subject_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID]
    profile_id: Mapped[UUID]
    linked_at: Mapped[datetime]


class AliasRow(Table):
    """A merged profile's id and the living profile it stands for now."""

    __tablename__ = "alias"
    __table_args__ = (Index(None, "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    alias_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]


class MergeRow(Table):
    """Append-only: what was merged into what, with the loser as it was, so it can be undone."""

    __tablename__ = "merge"
    __table_args__ = (Index(None, "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    merge_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    merged_id: Mapped[UUID]
    message_id: Mapped[str]
    merged_at: Mapped[datetime]
    snapshot: Mapped[dict[str, Any]]


class ConflictRow(Table):
    """Append-only: an identifier an event carried that was not linked, and why."""

    __tablename__ = "conflict"
    __table_args__ = (Index(None, "workspace_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    conflict_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    other_id: Mapped[UUID | None]
    namespace: Mapped[str]
    value: Mapped[str]
    reason: Mapped[str]
    message_id: Mapped[str]
    occurred_at: Mapped[datetime]


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


class RuleRow(Table):
    """A registered rule. Segments are rules of kind ``segment`` under the segment's id."""

    __tablename__ = "rule"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    rule_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner: Mapped[str]
    definition: Mapped[dict[str, Any]]
    watch: Mapped[bool]
    state: Mapped[str]


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
    """The rule (a segment or a watched rule) holds for the profile since ``entered_at``."""

    __tablename__ = "membership"
    __table_args__ = (Index(None, "workspace_id", "rule_id", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    rule_id: Mapped[UUID] = mapped_column(primary_key=True)
    entered_at: Mapped[datetime]


class SegmentRow(Table):
    """What people call a segment and how they describe it; its rule is a ``RuleRow``."""

    __tablename__ = "segment"
    __table_args__ = (Index("uq_segment_workspace_id_name", "workspace_id", "name", unique=True),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    segment_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class StageModelRow(Table):
    """A published stage model: ``{"name", "stages": [{"id", "rule_id"}]}`` in order."""

    __tablename__ = "stage_model"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[UUID] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    state: Mapped[str]
    published_at: Mapped[datetime]


class StageRow(Table):
    """The stage a profile is in now."""

    __tablename__ = "stage"
    __table_args__ = (Index(None, "workspace_id", "model_id", "stage_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[UUID] = mapped_column(primary_key=True)
    stage_id: Mapped[str]
    since: Mapped[datetime]


class StageChangeRow(Table):
    """Append-only: every change of stage."""

    __tablename__ = "stage_change"
    __table_args__ = (Index(None, "workspace_id", "profile_id", "model_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    change_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    model_id: Mapped[UUID]
    from_stage: Mapped[str | None]
    to_stage: Mapped[str | None]
    at: Mapped[datetime]
