"""Drafts to files and files to drafts, what they mention found again by its name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.kit.problems import FieldError, InvalidRequest
from services.orchestrator.channels import store as channels
from services.orchestrator.errors import JourneyStateConflict
from services.orchestrator.experiments import store as experiments
from services.orchestrator.journey_files.model import (
    Applied,
    FileEdit,
    JourneyFile,
    JourneyFileBody,
    References,
)
from services.orchestrator.journeys import moving, service, store
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.nodes import CallJourney, Experiment, Message, Node, Webhook
from services.orchestrator.message_templates import store as templates


async def file_of(session: AsyncSession, row: Row[Any]) -> JourneyFile:
    """The journey's draft with the names of what it mentions."""
    graph = Graph.model_validate(row.draft)
    names = {
        kind.name: await kind.names(session, _mentioned(graph, field))
        for field, kind in _KINDS.items()
    }
    references = References.model_validate(names)
    # In the order of the model: PostgreSQL keeps another one, which no diff should show.
    return JourneyFile(key=row.key, graph=service.dumped(graph), references=references)


async def apply(
    session: AsyncSession, workspace_id: UUID, key: str, body: JourneyFileBody, *, dry_run: bool
) -> Applied:
    """Make the file the draft of the journey with this key, which is created where there is none.

    The version people enter does not change; a dry run changes nothing at all.
    """
    graph = await _at_home(session, body)
    row = await store.find_by_key(session, key)
    if row is None:
        journey_id = None
        if not dry_run:
            journey_id = (await service.create(session, workspace_id, uuid7(), graph, key)).id
        edits = [FileEdit(place=node.id, change="added", fields=[]) for node in graph.nodes]
        action, before = "created", None
    else:
        if row.state == "archived":
            raise JourneyStateConflict("An archived journey cannot be changed.", state=row.state)
        draft = Graph.model_validate(row.draft)
        journey_id, before = row.id, service.dumped(draft)
        edits = [
            FileEdit(place=each.place, change=each.change, fields=each.fields)
            for each in moving.edits(draft, graph)
        ]
        action = "changed" if edits else "unchanged"
        if edits and not dry_run:
            await service.save_draft(session, row.id, graph)
    problems = await service.problems_of(session, graph)
    return Applied.model_validate(
        {
            "key": key,
            "journey_id": journey_id,
            "action": action,
            "edits": edits,
            "before": before,
            "after": service.dumped(graph),
            "problems": [FieldError(pointer=p.pointer, detail=p.detail) for p in problems],
            "live": await _live(session, row, graph),
        }
    )


async def _live(session: AsyncSession, row: Row[Any] | None, graph: Graph) -> str:
    if row is None or row.live_version_id is None:
        return "never"
    ((_, live),) = await store.version_graphs(session, [row.live_version_id])
    return "same" if Graph.model_validate(live) == graph else "differs"


@dataclass(frozen=True)
class _Kind:
    """What nodes mention by id in a field."""

    name: str
    nodes: tuple[type, ...]
    names: Callable[[AsyncSession, set[UUID]], Awaitable[dict[UUID, str]]]
    named: Callable[[AsyncSession, list[str]], Awaitable[list[tuple[str, UUID]]]]


_KINDS = {
    "channel_id": _Kind("channels", (Message, Webhook), channels.names, channels.named),
    "template_id": _Kind("templates", (Message,), templates.names, templates.named),
    "experiment_id": _Kind("experiments", (Experiment,), experiments.names, experiments.named),
    "journey_id": _Kind("journeys", (CallJourney,), store.keys, store.keyed),
}


def _mentioned(graph: Graph, field: str) -> set[UUID]:
    kind = _KINDS[field]
    return {getattr(node, field) for node in graph.nodes if isinstance(node, kind.nodes)}


async def _at_home(session: AsyncSession, body: JourneyFileBody) -> Graph:
    """The graph with the ids that this workspace has for what it mentions."""
    found: dict[str, dict[UUID, UUID]] = {}
    for field, kind in _KINDS.items():
        wanted = _mentioned(body.graph, field)
        names: dict[UUID, str] = getattr(body.references, kind.name)
        known = await kind.names(session, wanted)
        there = await kind.named(session, list(names.values()))
        found[field] = _match(kind.name, wanted - known.keys(), names, there)
    nodes = [_replaced(node, found) for node in body.graph.nodes]
    return body.graph.model_copy(update={"nodes": nodes})


def _replaced(node: Node, found: Mapping[str, Mapping[UUID, UUID]]) -> Node:
    fields = [field for field, kind in _KINDS.items() if isinstance(node, kind.nodes)]
    own = {field: getattr(node, field) for field in fields}
    return node.model_copy(update={field: found[field].get(id, id) for field, id in own.items()})


def _match(
    kind: str, unknown: set[UUID], names: dict[UUID, str], there: list[tuple[str, UUID]]
) -> dict[UUID, UUID]:
    """The ids here of what is unknown by id. What has no name is left to publishing to refuse."""
    found = {}
    for id in unknown & names.keys():
        ids = [own for name, own in there if name == names[id]]
        if len(ids) != 1:
            said = "There is none" if not ids else f"There are {len(ids)}"
            raise InvalidRequest.at(
                f"#/references/{kind}/{id}",
                f"{said} here with the name {names[id]!r}; one is needed.",
            )
        found[id] = ids[0]
    return found
