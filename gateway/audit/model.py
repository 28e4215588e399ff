"""The audit log on the wire."""

from datetime import datetime
from typing import Any

from pydantic import Field

from gateway.paging import Identified


class AuditEntry(Identified):
    """Who did what to what."""

    at: datetime
    actor: str = Field(examples=["key:0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7a", "bootstrap"])
    action: str = Field(examples=["key.created", "key.revoked", "source.created"])
    target_type: str = Field(examples=["key"])
    target_id: str
    request_id: str = Field(description="The X-Request-Id of the call; empty outside of one.")
    details: dict[str, Any]
