"""What is said through the API goes into the log of events, as an identify call of its source."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.contracts.tracking import SaidAccepted
from services.kit.http import ServiceClient

_CALL_IDS = {"user_id": "userId", "anonymous_id": "anonymousId"}


def naming(ids: Mapping[str, str]) -> dict[str, Any]:
    """The parts of a call that name a person by these identifiers, by namespace."""
    call: dict[str, Any] = {_CALL_IDS[n]: value for n, value in ids.items() if n in _CALL_IDS}
    others = [{"type": n, "id": value} for n, value in ids.items() if n not in _CALL_IDS]
    return {**call, "context": {"externalIds": others}} if others else call


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
