"""Erasures as the API shows them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

State = Literal["suppressed", "hidden", "rewritten", "purged", "finished"]


class ErasureCreate(BaseModel):
    """Whom to erase."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"profile_id": "5c2f3d9e-7a52-5b1e-9d3f-0f2b6c1f7a10"}]},
    )

    profile_id: UUID = Field(
        description="The person's profile, or any id that was merged into it; everything that "
        "belongs to the profile is erased."
    )


class StoreReport(BaseModel):
    """One line of a certificate: what one store held, what went, and what was found afterwards."""

    store: str = Field(
        description="`clickhouse:<table>`, `log`, `quarantine` or `identity`.", examples=["log"]
    )
    erased: int = Field(description="Events, or rows, of the person that were removed.")
    scanned: int = Field(description="Events, or rows, that the check afterwards read.")
    left: int = Field(description="Of those, how many are the person's; 0 when all went well.")
    mentions: int = Field(
        description="Of those, how many belong to other people but name one of the person's "
        "identifiers, as events of a shared device do. They are not erased."
    )
    note: str = Field(description="What the counts cannot say; empty as a rule.")


class Erasure(BaseModel):
    """The erasure of one person from the event stores; finished, it is the certificate."""

    id: UUID
    state: State = Field(
        description="`suppressed`: new and late events are dropped. `hidden`: no query shows the "
        "person. `rewritten`: log and quarantine no longer hold the events; a log on Kafka still "
        "does, and gives them to no reader. `purged`: the bytes are gone from the files of "
        "ClickHouse and PostgreSQL. `finished`: a scan has looked for what is left."
    )
    requested_at: datetime
    hidden_at: datetime | None = Field(description="When queries stopped showing the person.")
    finished_at: datetime | None
    verified: bool | None = Field(
        description="True when the scan found nothing of the person in any store; null before it. "
        "Never true where the log lies on Kafka: it cannot be rewritten, and the person's events "
        "stay in it, hidden, until it is trimmed; the line `log` says so."
    )
    stores: list[StoreReport]


Value = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]


class NamedIdentifier(BaseModel):
    model_config = ConfigDict(extra="forbid")

    namespace: str = Field(
        max_length=64, description="One of the workspace's identity policy.", examples=["email"]
    )
    value: Value = Field(examples=["ada@example.com"])


class Lift(BaseModel):
    """Identifiers whose events are to be taken again."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"identifiers": [{"namespace": "email", "value": "ada@example.com"}]}]
        },
    )

    identifiers: list[NamedIdentifier] = Field(min_length=1, max_length=50)


class Lifted(BaseModel):
    lifted: int = Field(description="How many of the identifiers were suppressed until now.")


class PersonErasure(BaseModel):
    """``POST /internal/v1/erasures``: what profile knows of the person it erases."""

    model_config = ConfigDict(extra="forbid")

    profile_id: UUID
    subject_ids: list[UUID] = Field(default_factory=list, max_length=2_000)
