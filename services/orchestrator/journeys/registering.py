"""What publishing asks of the other services: readiness, and keeping the journey's rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple
from uuid import UUID

import httpx2

from services.contracts.assessment import Readiness
from services.contracts.conditions import Condition
from services.contracts.profile import RuleRegistration, RuleStatus
from services.contracts.rules import Group
from services.kit.http import ServiceClient
from services.kit.problems import Unavailable
from services.orchestrator.errors import JourneyInvalid, NotReady
from services.orchestrator.journeys.compiled import rule_id, rules_of
from services.orchestrator.journeys.entries import ScheduleEntry, SegmentEntry
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.model import Warning_
from services.orchestrator.journeys.nodes import Message, Webhook


@dataclass(frozen=True)
class Neighbours:
    """The services publishing asks."""

    profile: ServiceClient
    assessment: ServiceClient


async def readiness(assessment: ServiceClient, workspace_id: UUID, graph: Graph) -> list[Warning_]:
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


async def register(
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
