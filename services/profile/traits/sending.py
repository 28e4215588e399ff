"""What is said through the API goes into the log of events, as an identify call of its source."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.contracts.tracking import SaidAccepted
from services.kit.http import ServiceClient


async def send(
    ingest: ServiceClient, workspace_id: UUID, source_id: str, calls: Sequence[dict[str, Any]]
) -> SaidAccepted:
    """Returns once what is not refused is durable; ``Unavailable`` where it may not be."""
    answer = await ingest.request(
        "POST",
        "/internal/v1/events",
        workspace_id=workspace_id,
        params={"source_id": source_id},
        json={"batch": list(calls)},
    )
    answer.raise_for_status()
    return SaidAccepted.model_validate_json(answer.content)
