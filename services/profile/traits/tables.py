"""Tables of what is registered of traits and what was said about them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class TraitDefinitionRow(Table):
    """A version of a definition, which counts after ``since_offset`` of the log; null: none."""

    __tablename__ = "trait_definition"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    since_offset: Mapped[int] = mapped_column(primary_key=True)
    # Without it None is kept as the JSON value null, which is not NULL.
    definition: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class TraitSettingRow(Table):
    """A version of the priorities of sources (by source id), and what is taken at all."""

    __tablename__ = "trait_setting"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    since_offset: Mapped[int] = mapped_column(primary_key=True)
    sources: Mapped[dict[str, Any]]
    registered_only: Mapped[bool]


class TraitHistoryRow(Table):
    """What an event said anew about a trait; ``seq`` is its place in the log.

    ``profile_id`` is whose event it was then, ``value`` null a deletion. ``lost_to``: the place of
    the statement that stood against it by priority or time; null where it became the value.
    """

    __tablename__ = "trait_history"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    profile_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID]
    value: Mapped[dict[str, Any] | None]
    said_at: Mapped[datetime]
    source: Mapped[str]
    priority: Mapped[int] = mapped_column(Integer)
    lost_to: Mapped[int | None]


class TraitRefusalRow(Table):
    """How often statements of a source about a trait were left out, and the last of them."""

    __tablename__ = "trait_refusal"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    last_profile_id: Mapped[UUID]
    last_message_id: Mapped[str]
    last_at: Mapped[datetime]
