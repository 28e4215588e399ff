"""What may happen to a journey: drafts, publishing, pausing, ending."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import UUID

import httpx2
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.assessment import Readiness
from services.contracts.conditions import Condition
from services.contracts.profile import RuleRegistration, RuleStatus
from services.contracts.rules import Group
from services.kit.http import ServiceClient
from services.kit.ids import uuid7
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import FieldError, Unavailable
from services.orchestrator.channels import store as channels
from services.orchestrator.engine import position_store
from services.orchestrator.errors import (
    JourneyInvalid,
    JourneyNotFound,
    JourneyStateConflict,
    NotReady,
)
from services.orchestrator.journeys import store
from services.orchestrator.journeys.compiled import rule_id, rules_of
from services.orchestrator.journeys.entries import ScheduleEntry, SegmentEntry
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.model import Journey, JourneyVersion, Published, Warning_
from services.orchestrator.journeys.nodes import Message, Webhook
from services.orchestrator.journeys.validate import Finding, findings, missing
from services.orchestrator.message_templates import store as templates
from services.orchestrator.schedules import store as schedules
from services.orchestrator.schedules.service import plan


@dataclass(frozen=True)
class Neighbours:
    """The services publishing asks."""

    profile: ServiceClient
    assessment: ServiceClient


async def view(session: AsyncSession, row: Row[Any]) -> Journey:
    """The journey with what stands against publishing its draft."""
    return (await views(session, [row]))[0]


async def views(session: AsyncSession, rows: Sequence[Row[Any]]) -> list[Journey]:
    found = []
    for row in rows:
        problems = await _problems(session, Graph.model_validate(row.draft))
        found.append(
            Journey(
                id=row.id,
                name=row.name,
                state=row.state,
                draft_revision=row.draft_revision,
                live_version=row.live_version,
                published_at=row.published_at,
                graph=row.draft,
                problems=[FieldError(pointer=p.pointer, detail=p.detail) for p in problems],
                created_at=row.created_at,
                updated_at=row.updated_at,
            )
        )
    return found


async def get(session: AsyncSession, journey_id: UUID) -> Row[Any]:
    row = await store.find(session, journey_id)
    if row is None:
        raise JourneyNotFound(f"Journey {journey_id} does not exist.")
    return row


async def create(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, graph: Graph
) -> Journey:
    await position_store.register_workspaces(session, [workspace_id])
    row = await store.add(session, workspace_id, journey_id, graph.name, dumped(graph))
    return await view(session, row)


async def save_draft(session: AsyncSession, journey_id: UUID, graph: Graph) -> Journey:
    row = await get(session, journey_id)
    if row.state == "archived":
        raise JourneyStateConflict("An archived journey cannot be changed.", state=row.state)
    await store.save_draft(session, journey_id, graph.name, dumped(graph))
    return await view(session, await get(session, journey_id))


async def change_state(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    to: str,
    allowed: tuple[str, ...],
    now: int,
) -> Journey:
    """Ends where the journey is in none of the ``allowed`` states, nor there already."""
    locked = await store.lock(session, journey_id)
    if locked is None:
        raise JourneyNotFound(f"Journey {journey_id} does not exist.")
    if locked.state != to:
        if locked.state not in allowed:
            raise JourneyStateConflict(
                f"The journey is {locked.state}; this needs {' or '.join(allowed)}.",
                state=locked.state,
            )
        await store.set_state(session, journey_id, to)
        if to == "archived":
            await store.end_participants(session, journey_id)
            await schedules.drop(session, workspace_id, journey_id)
        if to == "live":
            await _resume_schedule(session, workspace_id, journey_id, now)
    return await view(session, await get(session, journey_id))


async def _resume_schedule(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, now: int
) -> None:
    """Times that passed while it was paused are not made up for."""
    row = await get(session, journey_id)
    for version_id, graph in await store.version_graphs(session, [row.live_version_id]):
        await plan(session, workspace_id, journey_id, version_id, Graph.model_validate(graph), now)


async def publish(
    maker: SessionMaker,
    workspace_id: UUID,
    journey_id: UUID,
    neighbours: Neighbours,
    now: int,
) -> Published:
    """Make the draft the version people enter. Those already inside finish theirs.

    Asks profile and assessment outside of any transaction; a draft changed meanwhile is a conflict.
    """
    async with workspace_tx(maker, workspace_id) as session:
        row = await get(session, journey_id)
        graph = await publishable(session, row)
    if row.state == "archived":
        raise JourneyStateConflict("An archived journey cannot be published.", state=row.state)
    version_id = uuid7()
    warnings = await _readiness(neighbours.assessment, workspace_id, graph)
    warnings += await _register(neighbours.profile, workspace_id, journey_id, version_id, graph)
    async with workspace_tx(maker, workspace_id) as session:
        locked = await store.lock(session, journey_id)
        if locked is None or locked.draft_revision != row.draft_revision:
            raise JourneyStateConflict("The draft was changed while it was being published.")
        if locked.state == "archived":
            raise JourneyStateConflict(
                "The journey was archived while it was being published.", state=locked.state
            )
        await store.add_version(
            session,
            workspace_id,
            journey_id,
            version_id,
            row.draft,
            [warning.model_dump(mode="json") for warning in warnings],
        )
        await plan(session, workspace_id, journey_id, version_id, graph, now)
        journey = await view(session, await get(session, journey_id))
    assert journey.live_version is not None
    assert journey.published_at is not None
    version = JourneyVersion(
        id=version_id,
        number=journey.live_version,
        published_at=journey.published_at,
        warnings=warnings,
    )
    return Published(journey=journey, version=version, warnings=warnings)


async def publishable(session: AsyncSession, row: Row[Any]) -> Graph:
    """The draft's graph; raises ``JourneyInvalid`` with all findings."""
    graph = Graph.model_validate(row.draft)
    problems = await _problems(session, graph)
    if problems:
        raise JourneyInvalid(
            "; ".join(f"{p.pointer}: {p.detail}" for p in problems[:3]),
            errors=[{"pointer": p.pointer, "detail": p.detail} for p in problems],
        )
    return graph


async def _problems(session: AsyncSession, graph: Graph) -> list[Finding]:
    senders = [node for node in graph.nodes if isinstance(node, Message | Webhook)]
    channel_types = await channels.types(session, {node.channel_id for node in senders})
    wanted = {node.template_id for node in senders if isinstance(node, Message)}
    known = await templates.existing(session, wanted)
    return [*findings(graph), *missing(graph, channel_types, known)]


async def _readiness(assessment: ServiceClient, workspace_id: UUID, graph: Graph) -> list[Warning_]:
    used = {node.channel_id for node in graph.nodes if isinstance(node, Message | Webhook)}
    try:
        response = await assessment.request(
            "GET", "/internal/v1/readiness", workspace_id=workspace_id
        )
        response.raise_for_status()
    except (Unavailable, httpx2.HTTPStatusError):
        detail = "Readiness could not be checked: the assessment service does not answer."
        return [Warning_(code="readiness_unknown", detail=detail)]
    readiness = Readiness.model_validate_json(response.content)
    limit = readiness.max_channels
    if limit is None or len(used) <= limit or readiness.mode == "off":
        return []
    level = "no assessed maturity level"
    if readiness.level is not None:
        level = f"maturity level {readiness.level}"
    detail = (
        f"The journey uses {len(used)} different channels; with {level} at most {limit} are "
        "recommended: more than the organization can coordinate makes customers worse off."
    )
    if readiness.mode == "enforce":
        raise NotReady(
            detail, reasons=[reason.model_dump(mode="json") for reason in readiness.reasons]
        )
    return [Warning_(code="too_many_channels", detail=detail, reasons=readiness.reasons)]


async def _register(
    profile: ServiceClient, workspace_id: UUID, journey_id: UUID, version_id: UUID, graph: Graph
) -> list[Warning_]:
    """Make profile keep the state that the journey's rules read."""
    backfilling = False
    for each in _rules(version_id, graph):
        body = RuleRegistration(
            kind="journey",
            owner=f"journey {journey_id} {each.reader}",
            rule=each.rule,
            watch=each.watched,
        )
        response = await profile.request(
            "PUT",
            f"/internal/v1/rules/{each.rule_id}",
            workspace_id=workspace_id,
            json=body.model_dump(mode="json", by_alias=True, exclude_unset=True),
        )
        if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            detail = str(response.json().get("detail"))
            raise JourneyInvalid(detail, errors=[{"pointer": each.pointer, "detail": detail}])
        if not response.is_success:
            raise Unavailable("The profile service does not take the journey's rules.")
        status = RuleStatus.model_validate_json(response.content)
        backfilling = backfilling or status.state == "backfilling"
    if not backfilling:
        return []
    detail = "Its rules are still being computed over past events; they read as unmet."
    return [Warning_(code="rules_backfilling", detail=detail)]


class Registered(NamedTuple):
    """A rule of a version as profile is told of it."""

    rule_id: UUID
    rule: Group
    reader: str
    pointer: str
    watched: bool


def _rules(version_id: UUID, graph: Graph) -> Iterator[Registered]:
    """All rules of a version.

    The segment of an entry is one too: so it must exist, and cannot be deleted while it is read.
    """
    for each in rules_of(graph):
        reader = f"{each.place[0]} {each.place[1]}"
        yield Registered(
            rule_id(version_id, each.place), each.rule, reader, each.pointer, each.watched
        )
    if isinstance(graph.entry, SegmentEntry | ScheduleEntry):
        member = Condition(field="segment", operator="=", value=str(graph.entry.segment_id))
        yield Registered(
            rule_id(version_id, ("@entry", 0)),
            Group(rules=[member]),
            "@entry",
            "#/graph/entry/segment_id",
            False,
        )


def dumped(graph: Graph) -> dict[str, Any]:
    """The graph as it was written: defaults that were left out stay out."""
    return graph.model_dump(mode="json", by_alias=True, exclude_unset=True)
