"""Channels over HTTP. Secrets go in and never come out."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy import func

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.signature import key_of
from services.kit.strict import StrictRoute
from services.orchestrator.channels import store
from services.orchestrator.channels.model import (
    Channel,
    ChannelCreate,
    EmailChannel,
    EmailCreate,
    WebhookChannel,
    channel,
)
from services.orchestrator.errors import ChannelNotFound
from services.orchestrator.paging import after_id, page_of

router = APIRouter(
    prefix="/api/v1/channels",
    tags=["channels"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


def _stored(body: ChannelCreate) -> dict[str, Any]:
    """The columns of a channel."""
    fixed = {"type", "name", "sink"}
    if isinstance(body, EmailCreate):
        secrets = {"password": body.password.get_secret_value()} if body.password else {}
        config = body.model_dump(mode="json", exclude=fixed | {"password"})
    else:
        secret = body.secret.get_secret_value()
        try:
            key_of(secret)
        except ValueError as error:
            raise InvalidRequest.at("#/secret", str(error)) from error
        secrets = {"secret": secret}
        config = body.model_dump(mode="json", exclude=fixed | {"secret"})
    return {
        "type": body.type,
        "name": body.name,
        "sink": body.sink,
        "config": config,
        "secrets": secrets,
    }


async def _find(session: Session, channel_id: UUID) -> EmailChannel | WebhookChannel:
    row = await store.find(session, channel_id)
    if row is None:
        raise ChannelNotFound(f"Channel {channel_id} does not exist.")
    return channel(row)


@router.post("", status_code=HTTPStatus.CREATED, summary="Configure a channel")
async def create_channel(
    body: ChannelCreate, new_id: NewId, caller: UserCaller, session: Session
) -> Channel:
    """A way out: an SMTP server or the URL of a webhook, with what is needed to use it."""
    await store.add(session, caller.workspace_id, {"id": new_id, **_stored(body)})
    return await _find(session, new_id)


@router.get("", summary="List channels, newest first")
async def list_channels(session: Session, paging: PagingParams) -> Page[Channel]:
    """Without their secrets, and without archived ones."""
    rows = await store.page(session, after_id(paging), paging.limit + 1)
    return page_of([channel(row) for row in rows], paging.limit)


@router.get("/{channel_id}", summary="Read a channel", responses=problem_responses(ChannelNotFound))
async def read_channel(channel_id: UUID, session: Session) -> Channel:
    """Without its secrets."""
    return await _find(session, channel_id)


@router.put(
    "/{channel_id}", summary="Replace a channel", responses=problem_responses(ChannelNotFound)
)
async def replace_channel(channel_id: UUID, body: ChannelCreate, session: Session) -> Channel:
    """Without a new password the old one stays."""
    known = await _find(session, channel_id)
    if known.type != body.type:
        raise InvalidRequest.at("#/type", f"This channel is of type {known.type}.")
    values = _stored(body)
    values["secrets"] = values["secrets"] or await store.keep_secrets(session, channel_id)
    await store.change(session, channel_id, values)
    return await _find(session, channel_id)


@router.delete(
    "/{channel_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Archive a channel",
    responses=problem_responses(ChannelNotFound),
)
async def archive_channel(channel_id: UUID, session: Session) -> Response:
    """Journeys that are already published go on using it."""
    await _find(session, channel_id)
    await store.change(session, channel_id, {"archived_at": func.now()})
    return Response(status_code=HTTPStatus.NO_CONTENT)
