"""The tables of the assessment database. No other service reads or writes them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Moment = DateTime(timezone=True)


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )


class AssessmentRow(Table):
    __tablename__ = "assessment"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    questionnaire_id: Mapped[str]
    questionnaire_version: Mapped[str]
    scope_kind: Mapped[str]
    scope_name: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(Moment)
    closed_at: Mapped[datetime | None] = mapped_column(Moment)


class ResponseRow(Table):
    """One person's answers, each with its item, its score 1..5 or why it is excluded, its note."""

    __tablename__ = "response"
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace_id", "assessment_id"],
            ["assessment.workspace_id", "assessment.id"],
            ondelete="CASCADE",
        ),
        UniqueConstraint("workspace_id", "assessment_id", "respondent"),
        Index("ix_response_assessment", "workspace_id", "assessment_id", "id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID]
    respondent: Mapped[str | None]
    respondent_group: Mapped[str]
    answers: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class ResultRow(Table):
    """The result of a closed assessment as it was answered then; never changed."""

    __tablename__ = "result"
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace_id", "assessment_id"],
            ["assessment.workspace_id", "assessment.id"],
            ondelete="CASCADE",
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(Moment)


class ReadinessPolicyRow(Table):
    """How a workspace wants readiness to act on publishing; absent means `warn`."""

    __tablename__ = "readiness_policy"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    mode: Mapped[str]
    reason: Mapped[str | None]
    updated_by: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(Moment)


class IdempotencyRow(Table):
    """Which resource an `Idempotency-Key` made, and the digest of the request that made it."""

    __tablename__ = "idempotency"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    resource_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(Moment)
