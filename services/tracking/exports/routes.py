"""Exports over HTTP: events as a file that is written while it is read."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from services.contracts.erasure import PersonExport
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.errors import TooManyExports
from services.tracking.events.routes import EventName, Since, Until, check_zones
from services.tracking.exports.formats import MEDIA_TYPES, Format
from services.tracking.exports.service import Exports, unlimited
from services.tracking.exports.store import Selection
from services.tracking.streaming import PiecewiseAnswer

router = APIRouter(
    prefix="/api/v1/exports",
    tags=["exports"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, TooManyExports, Unavailable),
)

SourceId = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00]*$",
        description="Only events of this source.",
    ),
]
internal_router = APIRouter(
    prefix="/internal/v1/exports",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/events",
    summary="Export events as Parquet, Arrow, CSV or NDJSON",
    response_class=StreamingResponse,
    responses={200: {"content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY)}},
)
async def export_events(
    request: Request,
    caller: UserCaller,
    format: Annotated[Format, Query(description="The file to write.")] = "parquet",
    event: EventName = None,
    source_id: SourceId = None,
    since: Since = None,
    until: Until = None,
) -> StreamingResponse:
    """Every event with the profile it belongs to now, in no particular order, as one file.

    The file is sent while it is read: an answer that breaks off is incomplete. One export per
    workspace runs at a time, six hours at most; choose an interval for more than that. In CSV a
    cell that a spreadsheet could take for a formula (it begins with `=`, `+`, `-`, `@`, one of
    these in full width, a tab, a line break, NUL or an apostrophe) gets an apostrophe in front;
    `properties`, `traits` and `context` are JSON.
    """
    check_zones(since, until)
    exports: Exports = request.state.exports
    file = exports.file(caller.workspace_id, Selection(event, source_id, since, until), format)
    # What fails before the first piece is still a proper answer.
    headers = {"Content-Disposition": f'attachment; filename="events.{format}"'}
    return PiecewiseAnswer(await anext(file, b""), file, MEDIA_TYPES[format], headers)


@internal_router.post("/person")
async def export_person(
    body: PersonExport, request: Request, caller: ServiceCaller
) -> StreamingResponse:
    """Every event of these subjects as CSV, beside whatever else is exported."""
    wanted = Selection(subjects=(*body.profile_ids, *body.subject_ids))
    file = unlimited(request.state.clickhouse, caller.workspace_id, wanted, "csv")
    return PiecewiseAnswer(await anext(file, b""), file, MEDIA_TYPES["csv"], {})
