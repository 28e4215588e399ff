"""Publishing: the draft becomes a version, and those inside older ones are told what to do."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import FieldError, InvalidRequest
from services.orchestrator.errors import JourneyStateConflict
from services.orchestrator.journeys import moving, service, store
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.model import (
    GraphEdit,
    JourneyVersion,
    Published,
    PublishPreview,
    PublishRequest,
    Whereabouts,
)
from services.orchestrator.journeys.moving import Move
from services.orchestrator.journeys.registering import Neighbours, readiness, register
from services.orchestrator.schedules.service import plan
from services.orchestrator.sweeps import store as sweeps


async def publish(
    maker: SessionMaker,
    workspace_id: UUID,
    journey_id: UUID,
    wanted: PublishRequest,
    neighbours: Neighbours,
    now: int,
) -> Published:
    """Make the draft the version people enter.

    Asks profile and assessment outside of any transaction; a draft changed meanwhile is a conflict.
    """
    async with workspace_tx(maker, workspace_id) as session:
        row = await service.get(session, journey_id)
        graph = await service.publishable(session, row)
        _check(wanted, await _pinned(session, journey_id), graph)
    if row.state == "archived":
        raise JourneyStateConflict("An archived journey cannot be published.", state=row.state)
    version_id = uuid7()
    warnings = await readiness(neighbours.assessment, workspace_id, graph)
    warnings += await register(neighbours.profile, workspace_id, journey_id, version_id, graph)
    async with workspace_tx(maker, workspace_id) as session:
        locked = await store.lock(session, journey_id)
        if locked is None or locked.draft_revision != row.draft_revision:
            raise JourneyStateConflict("The draft was changed while it was being published.")
        if locked.state == "archived":
            raise JourneyStateConflict(
                "The journey was archived while it was being published.", state=locked.state
            )
        # What it refers to may have changed meanwhile.
        await service.publishable(session, row)
        pinned = await _pinned(session, journey_id)
        await store.add_version(
            session,
            workspace_id,
            journey_id,
            version_id,
            row.draft,
            [warning.model_dump(mode="json") for warning in warnings],
        )
        await _supersede(session, workspace_id, journey_id, version_id, wanted, pinned, graph, now)
        await plan(session, workspace_id, journey_id, version_id, graph, now)
        journey = await service.view(session, await service.get(session, journey_id))
    assert journey.live_version is not None
    assert journey.published_at is not None
    version = JourneyVersion(
        id=version_id,
        number=journey.live_version,
        published_at=journey.published_at,
        warnings=warnings,
    )
    return Published(journey=journey, version=version, warnings=warnings)


_Pinned = Mapping[UUID, tuple[int, Graph]]
"""Number and graph of the versions that nothing supersedes yet."""


async def _pinned(session: AsyncSession, journey_id: UUID) -> _Pinned:
    rows = await store.pinned_graphs(session, journey_id)
    return {row.id: (row.number, Graph.model_validate(row.graph)) for row in rows}


def _check(wanted: PublishRequest, pinned: _Pinned, graph: Graph) -> None:
    known = {node.id for _, old in pinned.values() for node in old.nodes}
    left = {node.id for node in graph.nodes}
    for source, target in wanted.redirects.items():
        if source not in known:
            raise InvalidRequest.at(
                f"#/redirects/{source}", "No version that people may be in has such a node."
            )
        if target is not None and target not in left:
            raise InvalidRequest.at(
                f"#/redirects/{source}", f"The draft has no node {target!r}; null lets people out."
            )


async def _supersede(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    version_id: UUID,
    wanted: PublishRequest,
    pinned: _Pinned,
    graph: Graph,
    now: int,
) -> None:
    if wanted.in_flight == "finish" or not pinned:
        return
    moves = {
        older: Move(
            wanted.in_flight,
            moving.redirects(old, graph, wanted.redirects),
            wanted.shortened,
        )
        for older, (_, old) in pinned.items()
    }
    await store.supersede(session, journey_id, version_id, moves)
    await sweeps.start(
        session,
        workspace_id,
        journey_id,
        "move",
        now,
        version_ids=list(moves),
        per_minute=wanted.per_minute if wanted.in_flight == "migrate" else None,
    )


async def preview(
    session: AsyncSession, journey_id: UUID, wanted: PublishRequest
) -> PublishPreview:
    """What publishing the draft like this would do; nothing is changed."""
    row = await service.get(session, journey_id)
    graph = Graph.model_validate(row.draft)
    problems = await service.problems_of(session, graph)
    pinned = await _pinned(session, journey_id)
    _check(wanted, pinned, graph)
    people = [
        _whereabouts(wanted, *pinned[each.version_id], graph, each.node, each.n)
        for each in await store.whereabouts(session, journey_id)
        if each.version_id in pinned
    ]
    inside = {each.version for each in people}
    edits = [
        GraphEdit(version=number, place=edit.place, change=edit.change, fields=edit.fields)
        for number, old in pinned.values()
        if number in inside or number == row.live_version
        for edit in moving.edits(old, graph)
    ]
    moved = sum(each.people for each in people) if wanted.in_flight == "migrate" else 0
    return PublishPreview(
        problems=[FieldError(pointer=p.pointer, detail=p.detail) for p in problems],
        edits=edits,
        people=sorted(people, key=lambda each: (each.version, each.node)),
        seconds=-(-60 * moved // wanted.per_minute),
    )


def _whereabouts(
    wanted: PublishRequest, number: int, old: Graph, graph: Graph, node: str, people: int
) -> Whereabouts:
    if wanted.in_flight == "finish":
        return Whereabouts(version=number, node=node, people=people, then="finish")
    target = None
    if wanted.in_flight == "migrate":
        target = moving.redirects(old, graph, wanted.redirects)[node]
    if target is None:
        return Whereabouts(version=number, node=node, people=people, then="leave")
    before = next(each for each in old.nodes if each.id == node)
    after = next(each for each in graph.nodes if each.id == target)
    if target != node or before.type != after.type:
        return Whereabouts(version=number, node=node, people=people, then="move", to=target)
    retimed = moving.is_retimed(before, after)
    then = "retime" if retimed else "stay"
    return Whereabouts(version=number, node=node, people=people, then=then, to=target)
