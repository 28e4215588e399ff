"""The log for the other services: rows behind the sequencer, by long poll; its lag for all."""

from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from services.kit import feeds
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.strict import StrictRoute
from services.kit.waiting import came
from services.tracking.archive.archive import Archive
from services.tracking.errors import UnknownPartition
from services.tracking.log import store
from services.tracking.log.port import Log, workspace_of
from services.tracking.log.readers import LogLag, Readers, lag

router = APIRouter(prefix="/api/v1/events", tags=["events"], route_class=StrictRoute)
internal_router = APIRouter(
    prefix="/internal/v1/log", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


class Partitions(BaseModel):
    partitions: list[str]


@router.get("/lag", summary="How far each reader of the event log is")
async def log_lag(request: Request, caller: UserCaller) -> LogLag:
    """Between an acknowledged event and its effects: `sequencer` removes duplicates, `loader`
    brings events into queries, `profile` to people and journeys."""
    state = request.state
    return await lag(state.sessionmaker, state.log, state.readers, caller.workspace_id)


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
    bell: feeds.Bell = request.state.bell
    readers: Readers = request.state.readers
    deadline = monotonic() + wait
    while True:
        grown = bell.listen(partition)
        page = await _page(request, partition, after, limit)
        if done is not None:
            readers.note(caller.issuer, partition, done, page.end)
        left = deadline - monotonic()
        if page.rows or left <= 0 or bell.closed:
            return Response(feeds.encode_page(page), media_type=feeds.MEDIA_TYPE)
        await came(grown, left)


@internal_router.get("/partitions")
async def list_partitions(request: Request, caller: ServiceCaller) -> Partitions:
    events: Log = request.state.log
    return Partitions(partitions=sorted(await events.ends()))


async def _page(request: Request, partition: str, after: int, limit: int) -> feeds.FeedPage:
    maker: SessionMaker = request.state.sessionmaker
    events: Log = request.state.log
    async with maker.begin() as session:
        end = await store.position(session, store.SEQUENCER, partition)
    if not end and partition not in await events.ends():
        raise UnknownPartition(f"Nothing was ever appended to {partition!r}.")
    if end <= after:
        return feeds.FeedPage([], end)
    archive: Archive = request.state.archive
    most = feeds.MAX_PAGE_BYTES
    rows = await events.read(partition, after, end, rows=limit, size=most)
    # Offsets have no gaps but for what was trimmed, and that is in ClickHouse by then.
    trimmed = rows[0].offset - 1 if rows else end
    workspace_id = workspace_of(partition)
    old = await archive.rows(partition, workspace_id, after, trimmed, limit=limit, max_bytes=most)
    if old:
        return feeds.FeedPage(old, end)
    async with workspace_tx(maker, workspace_id) as session:
        return feeds.FeedPage(list(await store.apply_verdicts(session, partition, rows)), end)
