"""The tables of the tracking database. No other service reads or writes them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Identity, Index, LargeBinary, MetaData
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
