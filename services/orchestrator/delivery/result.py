"""What became of one try to send."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Result:
    """`accepted`, `failed` and `unknown` settle the message.

    `again`: it certainly did not go out; try later. `lost_lease`: somebody else has it now.
    """

    kind: Literal["accepted", "failed", "unknown", "again", "lost_lease"]
    reason: str | None = None
    provider_id: str | None = None
    captured: Mapping[str, Any] = field(default_factory=dict)
    """Of the answer, what the message asked for, by name."""
