"""Tables of consents, their wordings and the law that applies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class ConsentRow(Table):
    """What counts now for a purpose at a channel and contact point (``*``: at all of them): state
    and time of what decides, and what it follows from (``ledger.Held``)."""

    __tablename__ = "consent"
    __table_args__ = (Index(None, "workspace_id", "purpose", "profile_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    contact_point: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    at: Mapped[datetime]
    own_state: Mapped[str | None]
    own_at: Mapped[datetime | None]
    repeated_state: Mapped[str | None]
    repeated_at: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]


class ConsentLineRow(Table):
    """Append-only ledger, never trimmed. ``seq``: place of the event in the log; ``proof``:
    language, actor and evidence as they were given."""

    __tablename__ = "consent_line"
    __table_args__ = (
        Index(
            None,
            "workspace_id",
            "wording_id",
            "wording_version",
            postgresql_where=text("wording_id IS NOT NULL"),
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(Integer, primary_key=True)
    purpose: Mapped[str]
    channel: Mapped[str]
    contact_point: Mapped[str]
    state: Mapped[str]
    at: Mapped[datetime]
    source: Mapped[str]
    message_id: Mapped[str]
    wording_id: Mapped[str | None]
    wording_version: Mapped[int | None] = mapped_column(Integer)
    proof: Mapped[dict[str, Any]]


class WordingRow(Table):
    """A text people agree to, in a version that stays as it is once somebody did."""

    __tablename__ = "consent_wording"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    wording_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    texts: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class PolicyRow(Table):
    """Which law applies to the people of a workspace (``consents.policy.Policy``)."""

    __tablename__ = "consent_policy"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    region: Mapped[str]
    countries: Mapped[dict[str, Any]]
    presumed_purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    sensitive_purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
