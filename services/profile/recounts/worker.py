"""Runs recounts, one round of people after the other, until none is left."""

from collections.abc import AsyncIterator
from uuid import UUID

from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.profile.clock import Clock, to_ms
from services.profile.feed import store as feed
from services.profile.recounts import service
from services.profile.rules.service import RuleCache, Settled
from services.profile.stream import store as stream


async def rounds(
    maker: SessionMaker,
    tracking: ServiceClient,
    clock: Clock,
    cache: RuleCache,
    workspace_id: UUID,
) -> AsyncIterator[Settled]:
    """What each round told on the feed. Raises ``Unavailable`` while tracking cannot say."""
    while True:
        async with workspace_tx(maker, workspace_id) as session:
            begun = await service.due(session, workspace_id)
        if begun is None:
            return
        await service.fetch(tracking, workspace_id, begun)
        async with workspace_tx(maker, workspace_id) as session:
            begun = await service.begin(session, workspace_id)
        if begun is None:
            return
        past = await service.fetch(tracking, workspace_id, begun)
        async with workspace_tx(maker, workspace_id) as session:
            place = await stream.lock(session, workspace_id)
            known = await cache.get(session, workspace_id, place.rules_revision)
            now_ms = to_ms(clock.now())
            settled = await service.finish(session, workspace_id, known, begun, past, now_ms)
            if settled.changes:
                await feed.append(session, workspace_id, settled.changes)
        yield settled
