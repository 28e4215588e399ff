"""Repeats what tracking was to be told of the identity policy until it has it."""

import asyncio
from uuid import UUID

import structlog

from services.kit.feeds import Bell
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker
from services.kit.problems import Unavailable
from services.profile.clock import Clock
from services.profile.identity_policy import service

log = structlog.get_logger(__name__)


async def follow(
    maker: SessionMaker,
    tracking: ServiceClient,
    bell: Bell,
    clock: Clock,
    workspace_id: UUID,
    retry_seconds: float,
) -> None:
    """Runs until it is cancelled."""
    while True:
        rung = bell.listen(service.policy_bell(workspace_id))
        try:
            await service.tell(maker, tracking, workspace_id)
        except Unavailable as error:
            log.info("identity_policy_waits", workspace_id=str(workspace_id), reason=error.detail)
            await asyncio.sleep(retry_seconds)
        else:
            await clock.wait(rung, None)
