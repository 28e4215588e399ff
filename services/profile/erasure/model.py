"""Erasures as the API shows them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.erasure import Namespace, StoreReport

Reason = Literal["requested", "consent_withdrawn", "no_longer_needed", "unlawful", "other"]
Service = Literal["profile", "tracking", "orchestrator"]


class ErasureCreate(BaseModel):
    """Why; nothing here may say whom it is about, since it is kept."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "requested"}]}
    )

    reason: Reason


class CertificateLine(StoreReport):
    """What one store of one service held, what went, and what the check found afterwards."""

    service: Service
    store: str = Field(
        description="A table, `feed` (the change feed) or `log` (of events). `all` of a service "
        "that has not told its stores yet.",
        examples=["identifier"],
    )
    state: Literal["pending", "done"] = Field(
        description="`pending` until the service has removed the bytes from its files, which it "
        "does for all erasures at once and at most once an hour, and looked for what is left."
    )


class ConsentProof(BaseModel):
    """A line of the erased person's consent ledger."""

    purpose: str
    state: str
    at: datetime
    source_id: str


class Erasure(BaseModel):
    """The erasure of one person from all services; finished, it is the certificate."""

    id: UUID
    state: Literal["running", "finished"] = Field(
        description="`running`: nothing shows the person any longer, and bytes are being removed "
        "from files. `finished`: every store of every service was read for what is left."
    )
    reason: Reason
    requested_at: datetime
    finished_at: datetime | None
    verified: bool | None = Field(
        description="True when nothing was found in any store; null before the check. Never true "
        "where the event log lies on Kafka, which cannot be rewritten."
    )
    stores: list[CertificateLine]


class ErasureDetail(Erasure):
    consents: list[ConsentProof] = Field(
        description="Proof of consent, kept for six months without the person."
    )


Value = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]


class NamedIdentifier(BaseModel):
    model_config = ConfigDict(extra="forbid")

    namespace: Namespace
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
