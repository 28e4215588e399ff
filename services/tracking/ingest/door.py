"""What the plain ASGI endpoints beside the SDKs' calls share: who sends, the log, the answer."""

from collections.abc import Awaitable, Callable

import structlog
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.kit.problems import Problem, refusal
from services.tracking.ingest import clock
from services.tracking.ingest.convert import Origin
from services.tracking.ingest.endpoint import writer
from services.tracking.log.port import Append, LogAppender
from services.tracking.plans.apply import Plan


class Door:
    """An ASGI endpoint; the lifespan's state holds ``appender``, ``plans``, ``policies`` and
    ``now_ms``."""

    def __init__(self, take: Callable[[Request], Awaitable[bytes]]) -> None:
        """``take`` makes the request durable and gives the answer, JSON; it raises ``Problem``."""
        self._take = take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = Response(await self._take(request), media_type="application/json")
        except Problem as problem:
            response = refusal(request, problem)
        except ClientDisconnect:
            # Half a body: nothing was taken, and nobody is left to be told.
            return
        await response(scope, receive, send)


async def sender(request: Request, sent_at: str | None = None) -> tuple[Origin, Plan | None]:
    """Who sends, and the tracking plan of the source. ``sent_at``: by the sender's clock."""
    verifier, authorization = request.app.state.token_verifier, request.headers.get("authorization")
    caller = writer(verifier, authorization or "")
    source_id = caller.source_id or "api"
    plan: Plan | None = await request.state.plans.of(caller.workspace_id, source_id)
    policy = await request.state.policies.of(caller.workspace_id)
    origin = Origin(
        caller.workspace_id,
        source_id,
        request.state.now_ms(),
        clock.parse(sent_at),
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
        policy=policy,
    )
    return origin, plan


async def append(request: Request, wanted: Append) -> None:
    """Returns once it is durable."""
    if wanted.count or wanted.quarantined:
        appender: LogAppender = request.state.appender
        await appender.append(wanted)
