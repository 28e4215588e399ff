"""Facts over HTTP, for engines that decide about thousands of people at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import Facts, FactsRequest
from services.kit.auth import ServiceCaller
from services.kit.feeds import Bell
from services.kit.postgres import SET_WORKSPACE, SessionMaker
from services.kit.problems import Unavailable
from services.kit.strict import StrictRoute
from services.kit.waiting import came
from services.profile.clock import to_ms
from services.profile.facts import service
from services.profile.facts.links import tokens

router = APIRouter(
    prefix="/internal/v1/facts", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)

PATIENCE_SECONDS = 2.0
"""How long a caller that is ahead of this feed is waited for."""


@router.post("", response_model=Facts)
async def read_facts(body: FactsRequest, request: Request, caller: ServiceCaller) -> Response:
    """Everything in the answer is true at one position, which is at least ``min_position``."""
    async with asyncio.timeout(PATIENCE_SECONDS + 30):
        answer = await _facts(request, caller.workspace_id, body)
    # Validating ten thousand entries that were made here would cost more than finding them.
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def _facts(request: Request, workspace_id: UUID, body: FactsRequest) -> dict[str, object]:
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    bell: Bell = request.state.bell
    while True:
        rung = bell.listen(str(workspace_id))
        async with _snapshot(request.state.sessionmaker, workspace_id) as session:
            position = await service.position(session, workspace_id)
            if position >= body.min_position:
                now = request.state.clock.now()
                links = None
                if body.links is not None:
                    links = tokens(request.state.links, workspace_id, body.links, now)
                found = await service.facts(
                    session, workspace_id, body.rule_ids, body.profile_ids, to_ms(now), links
                )
                return {"position": position, "at": now, "profiles": found}
        remaining = deadline - asyncio.get_running_loop().time()
        if remaining <= 0 or bell.closed:
            raise Unavailable(f"The feed is at {position}, before {body.min_position}.")
        await came(rung, remaining)


@asynccontextmanager
async def _snapshot(maker: SessionMaker, workspace_id: UUID) -> AsyncIterator[AsyncSession]:
    """A transaction whose statements all see the same moment."""
    async with maker.begin() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        await session.execute(SET_WORKSPACE, {"workspace_id": str(workspace_id)})
        yield session
