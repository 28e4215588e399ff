"""A request's body → one append: good events packed, bad ones set aside with reasons. Pure."""

from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from services.contracts.events import Event
from services.kit.feeds import pack
from services.kit.problems import MalformedBody, Problem
from services.tracking.errors import InvalidEvent, PlanViolated
from services.tracking.ingest import clock
from services.tracking.ingest.convert import Origin, check_context, convert, own_id
from services.tracking.ingest.protocols.call import Calls
from services.tracking.ingest.refusals import Refusals
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import (
    MAX_EVENT_BYTES,
    MAX_EVENTS,
    decode_envelope,
    decode_event,
)
from services.tracking.log.port import Append, Quarantined, events_partition
from services.tracking.plans.apply import Plan, ViolatesPlan
from services.tracking.quarantine.origin import Circumstances

SURPLUS = "too_many_events"
"""The reason of a row that holds a JSON array of events."""


class Ids(Protocol):
    def next(self, digest: str) -> str:
        """The message id of an event that came without one and has this digest."""


def accept_batch(body: bytes, origin: Origin, plan: Plan | None = None) -> Append:
    """``plan``: the tracking plan that the source is held to.

    ``MalformedBody`` or ``InvalidEvent`` when the body is no batch at all.
    """
    batch = decode_envelope(body)
    origin = _sent_at(origin, batch.sent_at)
    ids = _OwnIds()
    events: list[Event] = []
    wrong_context: Refused | None = None
    try:
        check_context(batch.context)
        origin = replace(origin, context=batch.context)
    except Refused as error:
        wrong_context = error
    refusals = Refusals(origin)
    if wrong_context is not None:
        # What is wrong for all costs none of them: they go on with their own contexts.
        refusals.add(batch.context, "#", wrong_context)
    for index, raw in enumerate(batch.events):
        try:
            events.append(_event(raw, None, origin, ids, plan))
        except Refused as error:
            refusals.add(raw, f"#/batch/{index}", error)
    if batch.salvaged and not events:
        raise MalformedBody("The body is not strict JSON, and no event in it is acceptable.")
    for number, part in enumerate(batch.surplus, start=1):
        detail = f"More than {MAX_EVENTS} events in one batch; these begin here."
        refusals.add(part, f"#/batch/{number * MAX_EVENTS}", Refused(SURPLUS, "", detail))
    return _append(origin, events, refusals.kept)


def accept_event(
    body: bytes, call: str, origin: Origin, plan: Plan | None = None
) -> tuple[Append, Problem | None]:
    """A single call. A bad one is kept in quarantine and is also the problem to answer with, unless
    a tracking plan sets it aside quietly."""
    try:
        return _append(origin, [_event(body, call, origin, _OwnIds(), plan)], []), None
    except Refused as error:
        refusals = Refusals(origin, call)
        refusals.add(body, "#", error)
        return _append(origin, [], refusals.kept), _problem(error, refusals.kept[0])


def _problem(error: Refused, refused: Quarantined) -> Problem | None:
    if not isinstance(error, ViolatesPlan):
        return InvalidEvent(refused.pointer, refused.detail)
    return PlanViolated(error.violations) if error.reason == "plan_blocked" else None


def accept_again(
    raw: bytes | msgspec.Raw,
    circumstances: Circumstances,
    origin: Origin,
    position: int,
    plan: Plan | None,
) -> Event:
    """An event that was refused, by the rules of now; ``Refused`` still.

    ``position``: its place in its request, which tells identical events apart.
    """
    ids = _GivenId(circumstances.message_id, position)
    return _event(raw, circumstances.call, origin, ids, plan)


def accept_calls(
    found: Calls, origin: Origin, plan: Plan | None, protocol: str
) -> tuple[Append, Problem | None]:
    """What the adapter of ``protocol`` made of a body. Bad events are kept as they were sent; of a
    request that could hold but one, the bad one is also the problem to answer with."""
    origin = _sent_at(origin, found.sent_at)
    ids = _OwnIds()
    events: list[Event] = []
    refusals = Refusals(origin, protocol=protocol, shared=found.shared)
    failure: Problem | None = None
    for index, call in enumerate(found.calls):
        pointer = found.place(index)
        try:
            events.append(_event(encoded(call.said), None, origin, ids, plan))
        except Refused as error:
            refusals.add(call.raw, pointer, error, found.position(index))
            if found.single:
                failure = _problem(error, refusals.kept[0])
    for number, part in enumerate(found.surplus, start=1):
        first = number * MAX_EVENTS
        detail = f"More than {MAX_EVENTS} events in one batch; these begin here."
        refusals.add(part, f"{found.list_at}/{first}", Refused(SURPLUS, "", detail), first)
    return _append(origin, events, refusals.kept), failure


def _sent_at(origin: Origin, said: Any) -> Origin:
    """A body's own word on when it was sent goes before the header's."""
    sent = clock.parse(said) if isinstance(said, str | int | float) else None
    return origin if sent is None else replace(origin, sent_at=sent)


def encoded(said: dict[str, Any] | Refused) -> bytes:
    """A translated call as JSON; raises what its translation had to refuse."""
    if isinstance(said, Refused):
        raise said
    try:
        return msgspec.json.encode(said)
    except (ValueError, OverflowError, RecursionError) as error:
        raise Refused("invalid", "", f"This cannot be written as JSON: {error}") from error


def _event(
    raw: bytes | msgspec.Raw,
    call: str | None,
    origin: Origin,
    ids: Ids,
    plan: Plan | None,
) -> Event:
    if len(raw) > MAX_EVENT_BYTES:
        raise Refused("too_large", "", f"The event is larger than {MAX_EVENT_BYTES} bytes.")
    wire = decode_event(raw)
    if call is not None:
        wire.type = call
    event = convert(wire, origin)
    if not event.message_id:
        event.message_id = ids.next(own_id(event, origin, wire))
    if plan is not None:
        # After its own id: the same event sent again under another plan is still the same.
        plan.hold(event)
    return event


class _OwnIds:
    """Numbers identical events of one request, which are different events."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def next(self, digest: str) -> str:
        number = self._seen[digest] = self._seen.get(digest, 0) + 1
        return f"waymark-{digest}-{number}"


def _append(origin: Origin, events: list[Event], refused: list[Quarantined]) -> Append:
    return Append(
        workspace_id=origin.workspace_id,
        partition=events_partition(origin.workspace_id),
        count=len(events),
        data=pack(events) if events else b"",
        quarantined=refused,
    )


@dataclass(frozen=True, slots=True)
class _GivenId:
    message_id: str
    position: int

    def next(self, digest: str) -> str:
        return self.message_id or f"waymark-{digest}-{self.position + 1}"
