"""Asks the orchestrator what journeys did with the people of a merge."""

from collections.abc import Collection
from typing import Literal
from uuid import UUID

import httpx2
import structlog

from services.contracts.orchestrator import Impact, ImpactRequest
from services.kit.http import ServiceClient
from services.kit.problems import Unavailable

log = structlog.get_logger(__name__)


async def impact(
    orchestrator: ServiceClient, workspace_id: UUID, profile_ids: Collection[UUID]
) -> Impact | Literal["unknown"]:
    """``unknown`` where it does not answer: the ledger is readable without it."""
    body = ImpactRequest(profile_ids=sorted(profile_ids))
    try:
        answer = await orchestrator.request(
            "POST",
            "/internal/v1/impact",
            workspace_id=workspace_id,
            json=body.model_dump(mode="json"),
        )
        answer.raise_for_status()
    except (Unavailable, httpx2.HTTPStatusError) as error:
        log.warning("impact_unknown", error=type(error).__name__)
        return "unknown"
    return Impact.model_validate_json(answer.content)
