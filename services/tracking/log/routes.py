"""The log for the other services: rows behind the sequencer, by long poll; its lag for all."""

import asyncio
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import select

from services.kit import feeds
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.postgres import Session, SessionMaker, workspace_tx
from services.kit.strict import StrictRoute
from services.tracking.archive.archive import Archive
from services.tracking.errors import UnknownPartition
from services.tracking.log import store
from services.tracking.log.readers import LogLag, Readers, lag
from services.tracking.tables import LogPartitionRow

router = APIRouter(prefix="/api/v1/events", tags=["events"], route_class=StrictRoute)
internal_router = APIRouter(
    prefix="/internal/v1/log", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


class Partitions(BaseModel):
    partitions: list[str]


@router.get("/lag", summary="How far each reader of the event log is")
async def log_lag(request: Request, session: Session, caller: UserCaller) -> LogLag:
    """Between an acknowledged event and its effects: `sequencer` removes duplicates, `loader`
    brings events into queries, `profile` to people and journeys."""
    return await lag(session, request.state.readers, caller.workspace_id)


@internal_router.get("")
async def read_log(
    request: Request,
    caller: ServiceCaller,
    partition: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")],
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    wait: Annotated[float, Query(ge=0, le=feeds.MAX_WAIT_SECONDS)] = 0,
    done: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Response:
    """msgpack of ``kit.feeds.FeedPage``; what does not count is marked in each row's bitmap. Rows
    that were trimmed are made again from ClickHouse, without what does not count.

    A caller that tells ``done`` is a reader from then on: the log is kept for it from there.
    """
    maker: SessionMaker = request.state.sessionmaker
    bell: feeds.Bell = request.state.bell
    readers: Readers = request.state.readers
    deadline = monotonic() + wait
    while True:
        grown = bell.listen(partition)
        page = await _page(maker, request.state.archive, partition, after, limit)
        if done is not None:
            readers.note(caller.issuer, partition, done, page.end)
        left = deadline - monotonic()
        if page.rows or left <= 0:
            return Response(feeds.encode_page(page), media_type=feeds.MEDIA_TYPE)
        await _wait(grown, left)


@internal_router.get("/partitions")
async def list_partitions(request: Request, caller: ServiceCaller) -> Partitions:
    maker: SessionMaker = request.state.sessionmaker
    async with maker.begin() as session:
        return Partitions(partitions=await store.partition_names(session))


async def _page(
    maker: SessionMaker, archive: Archive, partition: str, after: int, limit: int
) -> feeds.FeedPage:
    async with maker.begin() as session:
        statement = select(LogPartitionRow.workspace_id).where(LogPartitionRow.name == partition)
        workspace_id = await session.scalar(statement)
        end = await store.position(session, store.SEQUENCER, partition)
    if workspace_id is None:
        raise UnknownPartition(f"Nothing was ever appended to {partition!r}.")
    if end <= after:
        return feeds.FeedPage([], end)
    async with workspace_tx(maker, workspace_id) as session:
        found = await store.rows(session, partition, after, end, limit, feeds.MAX_PAGE_BYTES)
    # Offsets have no gaps but for what was trimmed, and that is in ClickHouse by then.
    trimmed = found[0].offset - 1 if found else end
    old = await archive.rows(
        partition, workspace_id, after, trimmed, limit=limit, max_bytes=feeds.MAX_PAGE_BYTES
    )
    return feeds.FeedPage(old or found, end)


async def _wait(grown: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await grown.wait()
    except TimeoutError:
        return
