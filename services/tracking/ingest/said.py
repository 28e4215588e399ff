"""The door for what another service lets people say: events whose refusals are answered at once."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from msgspec.structs import replace

from services.contracts.events import Event
from services.contracts.tracking import RefusedEvent, SaidAccepted
from services.kit.auth import ServiceCaller
from services.kit.feeds import unpack
from services.kit.strict import StrictRoute
from services.tracking.ingest import body
from services.tracking.ingest.accept import accept_batch
from services.tracking.ingest.convert import Origin
from services.tracking.log.port import Append, Log, LogAppender

internal_router = APIRouter(
    prefix="/internal/v1/events",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)

_PLACE = "#/batch/"


@internal_router.post("")
async def append_said(
    request: Request,
    caller: ServiceCaller,
    source_id: Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[^\x00]+$")],
    whole: bool = False,
) -> SaidAccepted:
    """Body: ``{"batch": […]}`` as the SDKs send it. The source's tracking plan holds here too, but
    not for what is said as a ``whole``: no plan may keep a withdrawal of consent back."""
    state = request.state
    origin = Origin(
        caller.workspace_id,
        source_id,
        state.now_ms(),
        server_key=True,
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
        by_contact=True,
        policy=await state.policies.of(caller.workspace_id),
    )
    plan = None if whole else await state.plans.of(caller.workspace_id, source_id)
    wanted = accept_batch(await body.read(request.receive), origin, plan)
    if counts(wanted, whole):
        appender: LogAppender = state.appender
        await appender.append(replace(wanted, quarantined=()))
    log: Log = state.log
    offset = (await log.ends(caller.workspace_id)).get(wanted.partition, 0)
    return answer(wanted, whole, offset)


def counts(wanted: Append, whole: bool) -> bool:
    """Whether there is something to append: of a ``whole`` nothing where anything is refused."""
    return wanted.count > 0 and not (whole and wanted.quarantined)


def answer(wanted: Append, whole: bool, offset: int) -> SaidAccepted:
    """What becomes of each event of the batch that ``wanted`` was made of."""
    refused: list[RefusedEvent] = []
    for kept in wanted.quarantined:
        index, slash, pointer = kept.pointer.removeprefix(_PLACE).partition("/")
        refused.append(RefusedEvent(index=int(index), pointer=slash + pointer, detail=kept.detail))
    count = wanted.count + len(refused)
    appended = counts(wanted, whole)
    times = iter([e.occurred_at for e in unpack(wanted.data, Event)] if appended else ())
    out = {each.index for each in refused} if appended else range(count)
    return SaidAccepted(
        occurred_at=[None if i in out else next(times) for i in range(count)],
        refused=refused,
        offset=offset,
    )
