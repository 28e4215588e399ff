"""What may happen to a segment."""

from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.http import ServiceClient
from services.kit.ids import uuid7
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import InvalidRequest
from services.profile.account_segments import audience
from services.profile.errors import SegmentInUse, SegmentNotFound
from services.profile.rules import past, registry
from services.profile.rules import store as rules
from services.profile.rules.ruleset import reads
from services.profile.rules.store import PendingLeaf, StoredRule
from services.profile.segments import preview as preview_store
from services.profile.segments import store
from services.profile.segments.preview import Preview
from services.profile.segments.store import StoredSegment
from services.profile.stream import store as stream
from services.rules import event_node, normalise


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    name: str,
    description: str,
    rule: dict[str, Any] | None,
    made_by: str,
) -> StoredSegment:
    """``rule`` None: a list, whose members are put in by hand."""
    segment_id = uuid7()
    await registry.register(session, workspace_id, _rule(segment_id, name, rule))
    await store.add(session, workspace_id, segment_id, name, description)
    await store.keep_version(session, workspace_id, segment_id, made_by)
    return await read(session, workspace_id, segment_id)


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    name: str,
    description: str,
    rule: dict[str, Any] | None,
    made_by: str,
) -> StoredSegment:
    # The workspace's lock first, as everywhere, so that two replacements cannot deadlock.
    await stream.lock(session, workspace_id)
    known = await read(session, workspace_id, segment_id)
    if (known.kind == rules.LIST) != (rule is None):
        raise InvalidRequest.at(
            "#/rule",
            "A list has no rule; put people into it by /members."
            if known.kind == rules.LIST
            else "This segment is made by a rule, which has to be given.",
        )
    wanted = _rule(segment_id, name, rule)
    if (known.name, known.description, known.definition) == (name, description, wanted.definition):
        return known
    await store.rename(session, workspace_id, segment_id, name, description)
    await registry.register(session, workspace_id, wanted)
    await store.keep_version(session, workspace_id, segment_id, made_by)
    return await read(session, workspace_id, segment_id)


async def restore(
    session: AsyncSession, workspace_id: UUID, segment_id: UUID, version: int, made_by: str
) -> StoredSegment:
    """Make a segment again what it was as ``version``, as a version of its own."""
    await stream.lock(session, workspace_id)
    known = await read(session, workspace_id, segment_id)
    found = await store.versions(session, workspace_id, segment_id, version + 1, 1)
    if not found or found[0].version != version:
        raise InvalidRequest.at(
            "#/path/version", f"A version from 1 to {known.version} is accepted."
        )
    old = found[0]
    rule = None if known.kind == rules.LIST else old.definition
    return await replace(
        session, workspace_id, segment_id, old.name, old.description, rule, made_by
    )


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
) -> Preview:
    """Whom the rule holds for now.

    Event leaves that nothing counts yet are asked of tracking, outside any transaction, as far as
    ClickHouse has loaded the log: under traffic it is always a little behind this service, and an
    answer about a second old is better than none.
    """
    rule = registry.parse(tree, "#/rule")
    async with workspace_tx(maker, workspace_id) as session:
        await registry.check_reads(session, workspace_id, reads(rule))
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
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(past.fetch(tracking, workspace_id, leaves, exact=False))
            for leaves in past.together(missing if place.log_offset else ())
        ]
        session = await stack.enter_async_context(workspace_tx(maker, workspace_id))
        skip = {leaf.leaf_id for leaf in missing}
        return await preview_store.preview(session, workspace_id, rule, found, skip, now_ms)


def not_found(segment_id: UUID) -> SegmentNotFound:
    return SegmentNotFound(f"Segment {segment_id} does not exist.", segment_id=str(segment_id))


def _rule(segment_id: UUID, name: str, definition: dict[str, Any] | None) -> StoredRule:
    owner = f"segment {name}"
    if definition is None:
        mine = {"field": "segment", "operator": "=", "value": str(segment_id)}
        itself = {"combinator": "and", "rules": [mine]}
        return StoredRule(segment_id, rules.LIST, owner, itself, False, "ready")
    return StoredRule(segment_id, "segment", owner, definition, False, "backfilling")
