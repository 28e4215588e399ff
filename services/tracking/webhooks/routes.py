"""Sources' webhooks over HTTP: how they are signed and read, and trying that on a sample."""

import asyncio
import time
from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Path

from services.kit.auth import UserCaller
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, MalformedBody, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.errors import WebhookNotFound
from services.tracking.identity_policy import store as policies
from services.tracking.ingest.convert import Origin
from services.tracking.plans.service import running
from services.tracking.webhooks import service, store
from services.tracking.webhooks.cache import ready
from services.tracking.webhooks.model import (
    SecretSet,
    SourceWebhook,
    WebhookPut,
    WebhookTest,
    WebhookTested,
)
from services.tracking.webhooks.store import StoredWebhook

router = APIRouter(
    prefix="/api/v1/sources/{source_id}/webhook",
    tags=["webhooks"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)
_absent = problem_responses(WebhookNotFound)
SourcePath = Annotated[
    str,
    Path(max_length=255, pattern=r"^[^\x00]+$", description="`id` of `/api/v1/sources`."),
]


@router.put(
    "",
    summary="Say how a source's webhooks are signed and read",
    response_model_exclude_defaults=True,
)
async def put_webhook(
    source_id: SourcePath, body: WebhookPut, caller: UserCaller, session: Session
) -> SourceWebhook:
    """In force within 5 seconds. The partner posts its own JSON to `/v1/webhooks/{write_key}` with
    a write key of the source; `docs/webhooks.md` walks through it. What came before there was a
    mapping, or could not be mapped, is in the quarantine and can be replayed.
    """
    return _webhook(source_id, await service.put(session, caller.workspace_id, source_id, body))


@router.get(
    "",
    summary="Read how a source's webhooks are signed and read",
    responses=_absent,
    response_model_exclude_defaults=True,
)
async def read_webhook(
    source_id: SourcePath, caller: UserCaller, session: Session
) -> SourceWebhook:
    """Of the secrets only names and dates."""
    found = await store.find(session, source_id)
    if found is None:
        raise service.absent(source_id)
    return _webhook(source_id, found)


@router.delete(
    "",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Remove a source's webhook and its secrets",
    responses=_absent,
)
async def remove_webhook(source_id: SourcePath, caller: UserCaller, session: Session) -> None:
    """What still comes is set aside in the quarantine, unsigned or not, as before there was one."""
    await service.remove(session, caller.workspace_id, source_id)


@router.post("/test", summary="See what would become of a sample", responses=_absent)
async def test_webhook(
    source_id: SourcePath, body: WebhookTest, caller: UserCaller, session: Session
) -> WebhookTested:
    """Maps a sample as ingestion would, the source's tracking plan included, and stores nothing.
    With `mapping` a draft is tried, also before the source has a webhook."""
    stored = await store.find(session, source_id)
    webhook = ready(stored) if stored else None
    mapping = body.mapping or (webhook.mapping if webhook else None)
    if mapping is None:
        raise WebhookNotFound(f"The source {source_id} has no webhook: give a `mapping` to try.")
    plans = await running(session, [source_id])
    origin = Origin(
        caller.workspace_id,
        source_id,
        time.time_ns() // 1_000_000,
        request_id=str(uuid4()),
        policy=await policies.newest(session, caller.workspace_id),
    )
    sample = _bytes(body.body)
    try:
        return await asyncio.to_thread(
            service.tested,
            webhook,
            mapping,
            sample,
            dict(body.headers),
            origin,
            plans.get(source_id),
        )
    except MalformedBody as error:
        raise InvalidRequest.at("#/body", error.detail) from error


def _bytes(body: str | dict[str, Any] | list[Any]) -> bytes:
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _webhook(source_id: str, stored: StoredWebhook) -> SourceWebhook:
    return SourceWebhook(
        source_id=source_id,
        signature=stored.signature,
        secrets=[
            SecretSet(name=name, set_at=kept["set_at"]) for name, kept in stored.secrets.items()
        ],
        mapping=stored.mapping,
        changed_at=stored.changed_at,
    )
