"""What services tell each other of the erasure of a person, and of their copy of the data."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class StoreReport(BaseModel):
    """One line of a certificate: what one store held, what went, and what was found afterwards."""

    store: str = Field(description="A table, or `log`.", examples=["log"])
    erased: int = Field(description="Events, or rows, of the person that were removed.")
    scanned: int = Field(0, description="Events, or rows, that the check afterwards read.")
    left: int = Field(0, description="Of those, how many are the person's; 0 when all went well.")
    mentions: int = Field(
        0,
        description="Of those, how many belong to other people but name one of the person's "
        "identifiers, as events of a shared device do. They are not erased.",
    )
    note: str = Field("", description="What the counts cannot say; empty as a rule.")


class PersonErasure(BaseModel):
    """``POST /internal/v1/erasures`` of tracking; the answer is a ``ServiceErasure``.

    An erasure of the same person that was asked for at ``since`` or later is answered instead of a
    new one.
    """

    model_config = ConfigDict(extra="forbid")

    profile_id: UUID
    subject_ids: list[UUID] = Field(default_factory=list, max_length=100_000)
    since: datetime | None = None


class ServiceErasure(BaseModel):
    """How far a service is: when it is ``finished`` its lines are final."""

    id: UUID
    state: str
    verified: bool | None
    stores: list[StoreReport]


class PersonRemoval(BaseModel):
    """``POST /internal/v1/erase`` of the orchestrator, answered with ``Removed``.

    503 until it has read profile's feed up to ``position``, where the person's erasure stands, and
    while a message to the person is on its way.
    """

    model_config = ConfigDict(extra="forbid")

    profile_ids: list[UUID] = Field(min_length=1, max_length=100_000)
    contacts: list[str] = Field(default_factory=list, max_length=100_000)
    position: int = Field(ge=0)


class Removed(BaseModel):
    """What is gone from the tables."""

    stores: list[StoreReport]


class Compacted(BaseModel):
    """``POST /internal/v1/compact`` of the orchestrator: whether no file holds any longer what was
    removed before; else to be asked again."""

    compacted: bool


class PersonExport(BaseModel):
    """``POST /internal/v1/exports/person``: all that a service holds of a person.

    Of tracking: events as CSV, streamed. Of the orchestrator: a JSON object, rows by table.
    """

    model_config = ConfigDict(extra="forbid")

    profile_ids: list[UUID] = Field(min_length=1, max_length=100_000)
    subject_ids: list[UUID] = Field(default_factory=list, max_length=100_000)
    contacts: list[str] = Field(default_factory=list, max_length=100_000)


Namespace = Literal["user_id", "email", "phone", "anonymous_id"]


class SubjectsLift(BaseModel):
    """``POST /internal/v1/suppressions/lift`` of tracking."""

    model_config = ConfigDict(extra="forbid")

    subject_ids: list[UUID] = Field(min_length=1, max_length=50)
