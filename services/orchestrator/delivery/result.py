"""What became of one try to send."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

DEAD_ADDRESS = "dead_address"
"""How reasons begin that say that nothing will ever arrive at the address."""


@dataclass(frozen=True, slots=True)
class Result:
    """`accepted`, `failed` and `unknown` settle the message.

    `again`: it certainly did not go out, or the provider honours our key; try later.
    `lost_lease`: somebody else has it now.
    """

    kind: Literal["accepted", "failed", "unknown", "again", "lost_lease"]
    reason: str | None = None
    provider_id: str | None = None
    captured: Mapping[str, Any] = field(default_factory=dict)
    """Of the answer, what the message asked for, by name."""
    retry_at: int | None = None
    """Of `again` (ms): the provider limits our rate until then; the try does not count."""


def dead(detail: str) -> Result:
    """The address is gone for good: whoever keeps addresses may forget it."""
    return Result("failed", f"{DEAD_ADDRESS}: {detail}"[:300])
