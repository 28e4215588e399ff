"""What may happen to a segment."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.http import ServiceClient
from services.kit.ids import uuid7
from services.kit.postgres import SessionMaker, workspace_tx
from services.profile.account_segments import audience
from services.profile.errors import SegmentInUse, SegmentNotFound
from services.profile.rules import backfill, registry
from services.profile.rules import store as rules
from services.profile.rules.backfill import Row
from services.profile.rules.store import PendingLeaf, StoredRule
from services.profile.segments import store
from services.profile.segments.store import StoredSegment
from services.profile.stream import store as stream
from services.rules import event_node, normalise

SAMPLE = 20


async def create(
    session: AsyncSession, workspace_id: UUID, name: str, description: str, rule: dict[str, Any]
) -> StoredSegment:
    segment_id = uuid7()
    await registry.register(session, workspace_id, _rule(segment_id, name, rule))
    await store.add(session, workspace_id, segment_id, name, description)
    return await read(session, workspace_id, segment_id)


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    name: str,
    description: str,
    rule: dict[str, Any],
) -> StoredSegment:
    # The workspace's lock first, as everywhere, so that two replacements cannot deadlock.
    await stream.lock(session, workspace_id)
    if not await store.rename(session, workspace_id, segment_id, name, description):
        raise not_found(segment_id)
    await registry.register(session, workspace_id, _rule(segment_id, name, rule))
    return await read(session, workspace_id, segment_id)


async def read(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> StoredSegment:
    found = await store.find(session, workspace_id, segment_id)
    if found is None:
        raise not_found(segment_id)
    return found


async def delete(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> None:
    await stream.lock(session, workspace_id)
    await read(session, workspace_id, segment_id)
    for definition in await rules.definitions(session, workspace_id):
        if registry.reads_segment(definition, str(segment_id)):
            kind = {"watch": "rule", "model": "stage model"}.get(definition.kind, definition.kind)
            raise SegmentInUse(f"The {kind} {definition.key} reads this segment.")
    for reader in await audience.reads(session, workspace_id, segment_id):
        raise SegmentInUse(f"The segment of accounts {reader} reads this segment.")
    await registry.unregister(session, workspace_id, segment_id)
    await store.remove(session, workspace_id, segment_id)


async def preview(
    maker: SessionMaker,
    tracking: ServiceClient,
    workspace_id: UUID,
    tree: dict[str, Any],
    now_ms: int,
) -> tuple[int, int, list[UUID]]:
    """(how many profiles the rule holds for now, of how many, some of them).

    Event leaves that nothing counts yet are asked of tracking, outside any transaction.
    """
    rule = registry.parse(tree, "#/rule")
    async with workspace_tx(maker, workspace_id) as session:
        place = await stream.place(session, workspace_id)
        counted = await rules.leaf_ids(session, workspace_id)
    missing = [
        PendingLeaf(
            leaf.leaf_id,
            event_node(leaf).model_dump(mode="json", by_alias=True, exclude_none=True),
            place.log_offset,
        )
        for leaf in normalise(tree).leaves
        if counted.get(leaf.leaf_id) != "ready"
    ]
    past: list[Row] = []
    for leaves in backfill.batches(missing) if place.log_offset else ():
        past += await backfill.fetch(tracking, workspace_id, leaves)
    async with workspace_tx(maker, workspace_id) as session:
        total = await store.count_profiles(session, workspace_id)
        skip = {leaf.leaf_id for leaf in missing}
        count, sample = await store.preview(session, workspace_id, rule, past, skip, now_ms, SAMPLE)
    return count, total, sample


def not_found(segment_id: UUID) -> SegmentNotFound:
    return SegmentNotFound(f"Segment {segment_id} does not exist.", segment_id=str(segment_id))


def _rule(segment_id: UUID, name: str, definition: dict[str, Any]) -> StoredRule:
    return StoredRule(segment_id, "segment", f"segment {name}", definition, False, "backfilling")
