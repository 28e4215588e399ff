"""Channels over HTTP. Secrets go in and never come out."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy import func

from services.kit.auth import Caller, Forbidden, Unauthenticated, UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.channels import store
from services.orchestrator.channels.model import (
    Channel,
    ChannelBase,
    ChannelCreate,
    channel,
    stored,
)
from services.orchestrator.errors import ChannelNotFound
from services.orchestrator.paging import after_id, page_of
from services.orchestrator.receipts.tokens import callback_url

router = APIRouter(
    prefix="/api/v1/channels",
    tags=["channels"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


def _shown(row: Any, request: Request, caller: Caller) -> ChannelBase:
    state = request.state
    public_url = state.workers.engine.executor.public_url
    return channel(row, callback_url(public_url, state.tokens, caller.workspace_id, row.id))


async def _find(
    session: Session, channel_id: UUID, request: Request, caller: Caller
) -> ChannelBase:
    row = await store.find(session, channel_id)
    if row is None:
        raise ChannelNotFound(f"Channel {channel_id} does not exist.")
    return _shown(row, request, caller)


@router.post("", status_code=HTTPStatus.CREATED, summary="Configure a channel")
async def create_channel(
    body: ChannelCreate, new_id: NewId, request: Request, caller: UserCaller, session: Session
) -> Channel:
    """A way out: an SMTP server, a provider of mail, SMS or push, the URL of a webhook; with what
    is needed to use it. `docs/channels.md` tells what each kind needs."""
    await store.add(session, caller.workspace_id, {"id": new_id, **stored(body)})
    return await _find(session, new_id, request, caller)


@router.get("", summary="List channels, newest first")
async def list_channels(
    session: Session, paging: PagingParams, request: Request, caller: UserCaller
) -> Page[Channel]:
    """Without their secrets, and without archived ones."""
    rows = await store.page(session, after_id(paging), paging.limit + 1)
    return page_of([_shown(row, request, caller) for row in rows], paging.limit)


@router.get("/{channel_id}", summary="Read a channel", responses=problem_responses(ChannelNotFound))
async def read_channel(
    channel_id: UUID, session: Session, request: Request, caller: UserCaller
) -> Channel:
    """Without its secrets."""
    return await _find(session, channel_id, request, caller)


@router.put(
    "/{channel_id}", summary="Replace a channel", responses=problem_responses(ChannelNotFound)
)
async def replace_channel(
    channel_id: UUID, body: ChannelCreate, session: Session, request: Request, caller: UserCaller
) -> Channel:
    """Secrets that are left out stay as they are."""
    known = await _find(session, channel_id, request, caller)
    if known.type != body.type:
        raise InvalidRequest.at("#/type", f"This channel is of type {known.type}.")
    values = stored(body)
    values["secrets"] = {**await store.keep_secrets(session, channel_id), **values["secrets"]}
    await store.change(session, channel_id, values)
    return await _find(session, channel_id, request, caller)


@router.delete(
    "/{channel_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Archive a channel",
    responses=problem_responses(ChannelNotFound),
)
async def archive_channel(
    channel_id: UUID, session: Session, request: Request, caller: UserCaller
) -> Response:
    """Journeys that are already published go on using it."""
    await _find(session, channel_id, request, caller)
    await store.change(session, channel_id, {"archived_at": func.now()})
    return Response(status_code=HTTPStatus.NO_CONTENT)
