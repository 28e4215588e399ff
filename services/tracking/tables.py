"""The tables of the tracking database. No other service reads or writes them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Moment = DateTime(timezone=True)


class Table(DeclarativeBase):
    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})


class LogPartitionRow(Table):
    """Registry of partitions, without row-level security: ids and offsets only."""

    __tablename__ = "log_partition"

    name: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    end_offset: Mapped[int] = mapped_column(BigInteger)


class LogRow(Table):
    __tablename__ = "log"

    partition: Mapped[str] = mapped_column(primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    workspace_id: Mapped[UUID]
    count: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(Moment)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class LogVerdictRow(Table):
    """The sequencer's verdict on a row that holds duplicates; rows without any have none."""

    __tablename__ = "log_verdict"

    partition: Mapped[str] = mapped_column(primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    workspace_id: Mapped[UUID]
    drop: Mapped[bytes] = mapped_column(LargeBinary)


class LogReaderRow(Table):
    """How far a reader is in a partition, and the block it has begun to load. Offsets only."""

    __tablename__ = "log_reader"

    reader: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    block_id: Mapped[str | None]
    block_end: Mapped[int | None] = mapped_column(BigInteger)


class QuarantineRow(Table):
    __tablename__ = "quarantine"
    __table_args__ = (Index("ix_quarantine_workspace", "workspace_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    workspace_id: Mapped[UUID]
    source_id: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(Moment)
    reason: Mapped[str]
    pointer: Mapped[str]
    detail: Mapped[str]
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    origin: Mapped[bytes | None] = mapped_column(LargeBinary)
    """JSON of ``quarantine.origin.Circumstances``; not jsonb, as a client's bytes are in it."""
    violations: Mapped[str | None]
    """JSON of plan, version, event and violations, where a tracking plan refused it."""
    replayed_at: Mapped[datetime | None] = mapped_column(Moment)


class TrackingPlanRow(Table):
    __tablename__ = "tracking_plan"
    __table_args__ = (Index("ix_tracking_plan_name", "workspace_id", "name", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    name: Mapped[str]
    description: Mapped[str]
    latest_version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Moment)


class TrackingPlanVersionRow(Table):
    """Never changed once written: what is compiled from it can be kept."""

    __tablename__ = "tracking_plan_version"

    plan_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)


class SourceSettingRow(Table):
    """What tracking knows of a source: its channel, the plan it is held to, its webhook."""

    __tablename__ = "source_setting"
    __table_args__ = (Index("ix_source_setting_revision", "revision"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str | None]
    plan_id: Mapped[UUID | None]
    plan_version: Mapped[int | None]
    mode: Mapped[str | None]
    webhook_version: Mapped[int | None] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[datetime] = mapped_column(Moment)


class SourceWebhookRow(Table):
    """How a source's webhooks are signed and read. ``version`` is never used twice."""

    __tablename__ = "source_webhook"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    signature: Mapped[dict[str, Any]] = mapped_column(JSON)
    mapping: Mapped[dict[str, Any]] = mapped_column(JSON)
    secrets: Mapped[dict[str, Any]] = mapped_column(JSON)
    """By name: ``{"secret", "set_at"}``. HMAC needs the secret itself, so it is no hash of it."""
    changed_at: Mapped[datetime] = mapped_column(Moment)


class TouchpointRow(Table):
    """A touchpoint somebody declared, tracked by an event or not (yet)."""

    __tablename__ = "touchpoint"
    __table_args__ = (Index("ix_touchpoint_workspace", "workspace_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    name: Mapped[str]
    channel: Mapped[str]
    event: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(Moment)


class SuppressionRow(Table):
    """A subject whose events are dropped, as a keyed hash; once lifted, only older events are."""

    __tablename__ = "suppression"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    mark: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    suppressed_at: Mapped[datetime] = mapped_column(Moment)
    lifted_at: Mapped[datetime | None] = mapped_column(Moment)


class ErasureRow(Table):
    """One erasure of one person: how far it is, and in the end its certificate."""

    __tablename__ = "erasure"
    __table_args__ = (
        Index("ix_erasure_mark", "workspace_id", "mark"),
        Index("ix_erasure_open", "id", postgresql_where=text("finished_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    mark: Mapped[bytes] = mapped_column(LargeBinary)
    """Keyed hash of the profile's id."""
    state: Mapped[str]
    work: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: the person's subjects and identifiers. Gone when the erasure is finished."""
    stops: Mapped[dict[str, int]] = mapped_column(JSON)
    """By partition, the last row that was sequenced before the person was suppressed."""
    stores: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    requested_at: Mapped[datetime] = mapped_column(Moment)
    hidden_at: Mapped[datetime | None] = mapped_column(Moment)
    purged_at: Mapped[datetime | None] = mapped_column(Moment)
    """By ClickHouse's clock."""
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    verified: Mapped[bool | None]


class ErasurePlaceRow(Table):
    """A log row that holds events of a person who is being erased."""

    __tablename__ = "erasure_place"

    erasure_id: Mapped[UUID] = mapped_column(primary_key=True)
    partition: Mapped[str] = mapped_column(primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    workspace_id: Mapped[UUID]


class RetentionPolicyRow(Table):
    """For how many days events of a class are kept; null stands for any."""

    __tablename__ = "retention_policy"
    __table_args__ = (
        Index(
            "ix_retention_policy_class",
            *("workspace_id", "type", "event", "source_id"),
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    type: Mapped[str | None]
    event: Mapped[str | None]
    """A name, or a pattern in which ``*`` stands for any text."""
    source_id: Mapped[str | None]
    days: Mapped[int]
    changed_at: Mapped[datetime] = mapped_column(Moment)


class IdentityRow(Table):
    """Subjects that belong to another profile than the one of their own id."""

    __tablename__ = "identity"
    __table_args__ = (
        Index("ix_identity_profile", "workspace_id", "profile_id"),
        Index("ix_identity_version", "workspace_id", "version"),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID]
    version: Mapped[int] = mapped_column(BigInteger)
