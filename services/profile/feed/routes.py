"""The change feed over HTTP, for the other services."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.kit import feeds
from services.kit.auth import ServiceCaller
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import InvalidRequest
from services.kit.strict import StrictRoute
from services.kit.waiting import came
from services.profile.feed import store

router = APIRouter(
    prefix="/internal/v1/feed", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@router.get("/partitions")
async def read_partitions(request: Request, _: ServiceCaller) -> dict[str, list[str]]:
    async with request.state.sessionmaker() as session:
        return {"partitions": await store.partitions(session)}


@router.get("")
async def read_feed(
    request: Request,
    _: ServiceCaller,
    partition: str,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    wait: Annotated[float, Query(ge=0, le=feeds.MAX_WAIT_SECONDS)] = 0,
) -> Response:
    """Rows after an offset; waits up to ``wait`` seconds for one."""
    workspace_id = _workspace(partition)
    bell: feeds.Bell = request.state.bell
    rung = bell.listen(partition)
    page = await _page(request.state.sessionmaker, workspace_id, after, limit)
    if not page.rows and wait and not bell.closed:
        await came(rung, wait)
        page = await _page(request.state.sessionmaker, workspace_id, after, limit)
    return Response(feeds.encode_page(page), media_type=feeds.MEDIA_TYPE)


def _workspace(partition: str) -> UUID:
    try:
        return UUID(partition)
    except ValueError as error:
        raise InvalidRequest.at("#/query/partition", "Use one of /feed/partitions.") from error


async def _page(maker: SessionMaker, workspace_id: UUID, after: int, limit: int) -> feeds.FeedPage:
    async with workspace_tx(maker, workspace_id) as session:
        rows = await store.read(session, workspace_id, after, limit)
        return feeds.FeedPage(rows, await store.end(session, workspace_id))
