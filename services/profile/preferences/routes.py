"""The links of messages over HTTP: public, without login; the token says who and what."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from services.kit.auth import ServiceCaller
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.profile.consents.links import Kind, Link
from services.profile.errors import LinkNotValid, ProfileNotFound
from services.profile.preferences import service
from services.profile.preferences.model import (
    LinkDone,
    LinkedConsent,
    Preferences,
    PreferencesPatch,
)

router = APIRouter(
    prefix="/v1",
    tags=["preferences"],
    route_class=StrictRoute,
    responses=problem_responses(LinkNotValid, ProfileNotFound, InvalidRequest, Unavailable),
)
Token = Annotated[str, Path(max_length=1000, description="The last part of a link in a message.")]


def _link(request: Request, kind: Kind, token: str) -> Link:
    return service.open_link(request.state.links, request.state.desk, kind, token)


@router.get("/unsubscribe/{token}", summary="What an unsubscribe link ends")
async def show_unsubscribe(token: Token, request: Request, _: ServiceCaller) -> LinkedConsent:
    """Changes nothing: mail scanners and previews open links."""
    return await service.linked(request.state.desk, _link(request, "unsubscribe", token))


@router.post("/unsubscribe/{token}", summary="Unsubscribe with one click")
async def unsubscribe(token: Token, request: Request, _: ServiceCaller) -> LinkDone:
    """RFC 8058. The body is not read. No message of this purpose is sent on this channel after the
    answer; a second call changes nothing more."""
    await service.unsubscribe(request.state.desk, _link(request, "unsubscribe", token))
    return LinkDone(status="unsubscribed")


@router.get("/confirm/{token}", summary="What a confirmation link grants")
async def show_confirm(token: Token, request: Request, _: ServiceCaller) -> LinkedConsent:
    return await service.linked(request.state.desk, _link(request, "confirm", token))


@router.post("/confirm/{token}", summary="Confirm a double opt-in")
async def confirm(token: Token, request: Request, _: ServiceCaller) -> LinkDone:
    """Only while the consent waits for it. The link holds for 14 days."""
    await service.confirm(request.state.desk, _link(request, "confirm", token))
    return LinkDone(status="confirmed")


@router.get("/preferences/{token}", summary="Data of a preference page")
async def read_preferences(token: Token, request: Request, _: ServiceCaller) -> Preferences:
    return await service.preferences(request.state.desk, _link(request, "preferences", token))


@router.post("/preferences/{token}", summary="Change preferences")
async def change_preferences(
    token: Token, body: PreferencesPatch, request: Request, _: ServiceCaller
) -> Preferences:
    """What is withdrawn is in force when this is answered. Joining a group with double opt-in waits
    for its confirmation."""
    link = _link(request, "preferences", token)
    await service.change(request.state.desk, link, body)
    return await service.preferences(request.state.desk, link)
