"""Where providers say what became of messages: public; address and body are signed."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.kit.auth import ServiceCaller
from services.kit.problems import InvalidRequest, MalformedBody, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.delivery.callbacks import Callback
from services.orchestrator.errors import CallbackNotVerified, LinkNotValid
from services.orchestrator.receipts import callback_service

router = APIRouter(
    prefix="/v1/callbacks",
    tags=["receipts"],
    route_class=StrictRoute,
    responses=problem_responses(LinkNotValid, CallbackNotVerified, MalformedBody, InvalidRequest),
)
Token = Annotated[
    str, Path(max_length=1_000, description="The last part of a channel's `callback_url`.")
]


@router.post("/{token}", status_code=HTTPStatus.NO_CONTENT, summary="Say what became of messages")
async def take_callback(token: Token, request: Request, _: ServiceCaller) -> Response:
    """For providers, at the channel's `callback_url`: in the provider's own form, and verified in
    its own way. The receiver of a `webhook` channel signs as it was signed to (Standard Webhooks):
    an object or a list of them with `message_id`, `type`, `occurred_at`, `reason`, `bounce`, `url`.
    Saying something twice changes nothing."""
    state, scope = request.state, request.scope
    found = state.tokens.read_callback(token)
    if found is None:
        raise LinkNotValid("This address was changed on its way, or is none of ours.")
    query = scope["query_string"].decode("latin-1")
    path = scope["path"] + (f"?{query}" if query else "")
    engine = state.workers.engine
    url = engine.executor.public_url + path
    callback = Callback(url, request.headers, await request.body())
    await callback_service.take(state.sessionmaker, found[0], found[1], callback, engine.clock())
    return Response(status_code=HTTPStatus.NO_CONTENT)
