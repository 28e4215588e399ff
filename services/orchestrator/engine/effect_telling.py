"""Tells other services what effects they are to carry out, in the order in which they came."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import structlog

from services.contracts.events import Outcome
from services.contracts.profile import ListMove
from services.contracts.tracking import SaidAccepted
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.orchestrator.engine import effect_store, trace_store
from services.orchestrator.engine.effect_store import Queued
from services.orchestrator.engine.log_calls import SOURCE

log = structlog.get_logger(__name__)
BLOCK = 500


async def carry_out(
    maker: SessionMaker, profile: ServiceClient, tracking_ingest: ServiceClient, workspace_id: UUID
) -> bool:
    """One block; False when there is none. Told twice after a crash it takes effect once."""
    async with workspace_tx(maker, workspace_id) as session:
        block = await effect_store.first(session, workspace_id, BLOCK)
    if not block:
        return False
    refused: list[tuple[Queued, str]] = []
    if block[0].kind == "call":
        refused = await _call(tracking_ingest, workspace_id, block)
    elif block[0].kind == "unsubscribe":
        block = block[:1]
        await _unsubscribe(profile, workspace_id, block[0])
    else:
        block = _alike(block)
        await _move(profile, workspace_id, block)
    outcomes = [_outcome(each.data["refused"], reason) for each, reason in refused]
    async with workspace_tx(maker, workspace_id) as session:
        await trace_store.queue_outcomes(session, workspace_id, outcomes)
        await effect_store.told(session, workspace_id, block)
    return True


async def _call(
    tracking: ServiceClient, workspace_id: UUID, block: Sequence[Queued]
) -> list[tuple[Queued, str]]:
    """Those that tracking refuses, now and always, with its reason."""
    response = await tracking.request(
        "POST",
        "/internal/v1/events",
        workspace_id=workspace_id,
        params={"source_id": SOURCE, "whole": False},
        json={"batch": [each.data["call"] for each in block]},
    )
    response.raise_for_status()
    accepted = SaidAccepted.model_validate_json(response.content)
    return [(block[each.index], each.detail) for each in accepted.refused]


def _outcome(prepared: dict[str, Any], reason: str) -> Outcome:
    outcome = msgspec.convert(prepared, Outcome)
    properties = msgspec.json.decode(outcome.properties)
    outcome.properties = msgspec.json.encode({**properties, "outcome": reason[:300]}).decode()
    return outcome


def _alike(block: Sequence[Queued]) -> list[Queued]:
    """As many as one request can say: of one list and one action."""
    first = block[0].data
    end = next((n for n, each in enumerate(block) if each.data != first), len(block))
    return list(block[:end])


async def _unsubscribe(profile: ServiceClient, workspace_id: UUID, effect: Queued) -> None:
    """As if the person had followed the link."""
    response = await profile.request("POST", f"/v1/unsubscribe/{effect.data['token']}")
    if response.status_code in (404, 422):
        # The person is gone, and their consents with them.
        log.warning("nobody_unsubscribed", workspace_id=str(workspace_id))
        return
    response.raise_for_status()


async def _move(profile: ServiceClient, workspace_id: UUID, block: Sequence[Queued]) -> None:
    data = block[0].data
    body = ListMove(
        action=data["action"], profile_ids=list(dict.fromkeys(each.profile_id for each in block))
    )
    response = await profile.request(
        "POST",
        f"/internal/v1/segments/{data['segment_id']}/list",
        workspace_id=workspace_id,
        json=body.model_dump(mode="json"),
    )
    if response.status_code in (404, 422):
        # The list is gone, or is no list any more: nobody can be put on it, now or later.
        log.warning("list_gone", workspace_id=str(workspace_id), segment_id=data["segment_id"])
        return
    response.raise_for_status()
