"""Keys on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.paging import Identified

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    Field(description="For people."),
]


class ApiKey(Identified):
    """A key without its secret, which nobody can read back."""

    kind: Literal["write", "secret"] = Field(
        description="`write` keys post events, `secret` keys open everything else."
    )
    name: str = Field(examples=["Web shop"])
    source_id: UUID | None = Field(description="The source of a write key; null for secret keys.")
    hint: str = Field(description="The key's last four characters.", examples=["x3Fq"])
    created_by: str = Field(examples=["key:0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7a"])
    created_at: datetime
    revoked_at: datetime | None = None


class ApiKeyCreated(ApiKey):
    key: str = Field(
        description="The key itself. It is shown this once.",
        examples=["sk_0199f0c25a527c3e9f3a0d6f1f1c2b7a_(43 letters and digits)"],
    )


class ApiKeyCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"kind": "secret", "name": "Reporting"},
                {
                    "kind": "write",
                    "name": "Web shop, second key",
                    "source_id": "0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7a",
                },
            ]
        },
    )

    kind: Literal["write", "secret"]
    name: Name
    source_id: UUID | None = Field(None, description="Needed for a write key, and only for one.")
