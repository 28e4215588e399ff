"""The change feed over HTTP, for partners."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.contracts.changes import ChangeType
from services.kit.auth import UserCaller
from services.kit.feeds import MAX_WAIT_SECONDS, Bell
from services.kit.pagination import decode_cursor, encode_cursor
from services.kit.postgres import workspace_tx
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.kit.waiting import came
from services.profile.feed import store
from services.profile.feed.public import START, Entry, Place, entries

router = APIRouter(
    prefix="/api/v1/changes",
    tags=["changes"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

_ROWS = 50
_FROM = Literal["start", "end"]


class ChangeEntry(BaseModel):
    """One change of one person."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "1042-3",
                    "type": "segment.entered",
                    "profile_id": "5c2f3d9e-7a52-5b1e-9d3f-0f2b6c1f7a10",
                    "at": "2026-03-01T09:30:00.000Z",
                    "data": {"segment_id": "01a21571-7c38-7706-96a2-bff49bd810f3"},
                }
            ]
        }
    )

    id: str = Field(description="Never changes: act once on each.")
    type: ChangeType
    profile_id: str
    at: datetime = Field(description="Since when it is true.")
    data: dict[str, Any] = Field(description="By type, as docs/changes.md tells.")


class Changes(BaseModel):
    items: list[ChangeEntry] = Field(description="In their order; those of a person never swap.")
    next_cursor: str = Field(
        description="Ask with it again for what comes later; also where `items` is empty."
    )


@router.get("", summary="Read what changed")
async def list_changes(
    request: Request,
    caller: UserCaller,
    cursor: Annotated[
        str | None, Query(max_length=1000, description="`next_cursor` of the answer before.")
    ] = None,
    begin: Annotated[
        _FROM, Query(alias="from", description="Without a cursor: all that is kept, or news only.")
    ] = "start",
    types: Annotated[
        list[ChangeType] | None, Query(alias="type", description="Only these; may be repeated.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    wait: Annotated[
        float,
        Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait where nothing is new yet."),
    ] = 0,
) -> Changes:
    """Every change of every person in the order in which it came about. Ask again and again with
    the last `next_cursor`; with `wait` an answer comes as soon as there is news. The same cursor
    gives the same entries again, so nothing is lost when a reader stops in the middle.
    """
    workspace_id = caller.workspace_id
    bell: Bell = request.state.bell
    rung = bell.listen(str(workspace_id))
    async with workspace_tx(request.state.sessionmaker, workspace_id) as session:
        after = await _after(cursor, begin, lambda: store.end(session, workspace_id))
    found, place = await _read(request, caller, after, types or (), limit)
    if not found and wait and not bell.closed:
        await came(rung, wait)
        found, place = await _read(request, caller, place, types or (), limit)
    return Changes(
        items=[_shown(entry) for entry in found], next_cursor=encode_cursor(*_key(place))
    )


async def _after(cursor: str | None, begin: _FROM, end: Any) -> Place:
    if cursor is not None:
        offset, index = decode_cursor(cursor, "#/query/cursor", int, int)
        return Place(int(offset), int(index) - 1)
    return Place(await end() + 1, -1) if begin == "end" else START


def _key(place: Place) -> tuple[int, int]:
    # Cursors hold no negative numbers.
    return place.offset, place.entry + 1


async def _read(
    request: Request, caller: UserCaller, after: Place, types: Any, limit: int
) -> tuple[list[Entry], Place]:
    """Entries, and the place behind all that was looked at."""
    workspace_id = caller.workspace_id
    async with workspace_tx(request.state.sessionmaker, workspace_id) as session:
        rows = await store.read(session, workspace_id, max(0, after.offset - 1), _ROWS)
    found = []
    for entry in entries(rows, after, types):
        found.append(entry)
        if len(found) == limit:
            return found, entry.place
    return found, Place(rows[-1].offset + 1, -1) if rows else after


def _shown(entry: Entry) -> ChangeEntry:
    return ChangeEntry.model_validate(
        {
            "id": entry.id,
            "type": entry.type,
            "profile_id": entry.profile_id,
            "at": entry.at,
            "data": entry.data,
        }
    )
