"""A request's body → one append: good events packed, bad ones set aside with reasons. Pure."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec

from services.contracts.events import Event
from services.kit.feeds import pack
from services.kit.problems import MalformedBody
from services.tracking.errors import InvalidEvent
from services.tracking.ingest import clock
from services.tracking.ingest.convert import Origin, Refused, check_context, convert, own_id
from services.tracking.ingest.protocols.call import Calls
from services.tracking.ingest.wire import (
    MAX_EVENT_BYTES,
    MAX_EVENTS,
    decode_envelope,
    decode_event,
)
from services.tracking.log.port import Append, Quarantined, events_partition


@dataclass(frozen=True, slots=True)
class Request:
    """Who sent a body and when (``received_at``, ``sent_at``: ms since the epoch)."""

    workspace_id: UUID
    source_id: str
    received_at: int
    sent_at: int | None = None
    server_key: bool = False
    """The write key came the way servers send it (Basic authentication)."""
    anonymous_id: str = ""
    """Of the person at the device, for events that name nobody."""
    request_id: str = ""
    """Ours, the same when the gateway hands the request to another process of this role."""

    @property
    def origin(self) -> Origin:
        return Origin(
            self.workspace_id,
            self.source_id,
            self.received_at,
            self.sent_at,
            server_key=self.server_key,
            anonymous_id=self.anonymous_id,
            request_id=self.request_id,
        )


def accept_batch(body: bytes, request: Request) -> Append:
    """``MalformedBody`` or ``InvalidEvent`` when the body is no batch at all."""
    batch = decode_envelope(body)
    sent = clock.parse(batch.sent_at) if isinstance(batch.sent_at, str | int) else None
    origin = replace(request.origin, sent_at=request.sent_at if sent is None else sent)
    ids = _OwnIds()
    events: list[Event] = []
    refused: list[Quarantined] = []
    try:
        check_context(batch.context)
        origin = replace(origin, context=batch.context)
    except Refused as error:
        # What is wrong for all costs none of them: they go on with their own contexts.
        pointer = "#" + error.pointer
        refused.append(_quarantined(batch.context, origin, error.reason, pointer, error.detail))
    for index, raw in enumerate(batch.events):
        pointer = f"#/batch/{index}"
        try:
            if len(raw) > MAX_EVENT_BYTES:
                raise Refused("too_large", "", f"Larger than {MAX_EVENT_BYTES} bytes.")
            events.append(_event(raw, None, pointer, origin, ids))
        except InvalidEvent as error:
            refused.append(_quarantined(raw, origin, "invalid", _pointer(error), error.detail))
        except Refused as error:
            refused.append(
                _quarantined(raw, origin, error.reason, pointer + error.pointer, error.detail)
            )
    if batch.salvaged and not events:
        raise MalformedBody("The body is not strict JSON, and no event in it is acceptable.")
    for number, part in enumerate(batch.surplus, start=1):
        pointer = f"#/batch/{number * MAX_EVENTS}"
        detail = f"More than {MAX_EVENTS} events in one batch; these begin here."
        refused.append(_quarantined(part, origin, "too_many_events", pointer, detail))
    return _append(origin, events, refused)


def accept_event(body: bytes, call: str, request: Request) -> tuple[Append, InvalidEvent | None]:
    """A single call. A bad one is kept in quarantine and is also the problem to answer with."""
    origin = request.origin
    try:
        if len(body) > MAX_EVENT_BYTES:
            raise Refused("too_large", "", f"Larger than {MAX_EVENT_BYTES} bytes.")
        return _append(origin, [_event(body, call, "#", origin, _OwnIds())], []), None
    except Refused as error:
        refused = _quarantined(body, origin, error.reason, "#" + error.pointer, error.detail)
        return _append(origin, [], [refused]), InvalidEvent("#" + error.pointer, error.detail)
    except InvalidEvent as error:
        refused = _quarantined(body, origin, "invalid", _pointer(error), error.detail)
        return _append(origin, [], [refused]), error


def accept_calls(found: Calls, request: Request) -> tuple[Append, InvalidEvent | None]:
    """What an adapter made of a body of another protocol. Bad events are kept as they were sent;
    of a request that could hold but one, the bad one is also the problem to answer with."""
    sent = clock.parse(found.sent_at) if isinstance(found.sent_at, str | int | float) else None
    origin = replace(request.origin, sent_at=request.sent_at if sent is None else sent)
    ids = _OwnIds()
    events: list[Event] = []
    refused: list[Quarantined] = []
    for index, call in enumerate(found.calls):
        pointer = "#" if found.single else f"#/batch/{index}"
        try:
            if len(call.raw) > MAX_EVENT_BYTES:
                raise Refused("too_large", "", f"Larger than {MAX_EVENT_BYTES} bytes.")
            if isinstance(call.said, Refused):
                raise call.said
            events.append(_event(_encoded(call.said), None, pointer, origin, ids))
        except InvalidEvent as error:
            refused.append(_quarantined(call.raw, origin, "invalid", _pointer(error), error.detail))
        except Refused as error:
            place = pointer + error.pointer
            refused.append(_quarantined(call.raw, origin, error.reason, place, error.detail))
    for number, part in enumerate(found.surplus, start=1):
        place = f"#/batch/{number * MAX_EVENTS}"
        detail = f"More than {MAX_EVENTS} events in one batch; these begin here."
        refused.append(_quarantined(part, origin, "too_many_events", place, detail))
    failure = None
    if found.single and refused:
        failure = InvalidEvent(refused[0].pointer, refused[0].detail)
    return _append(origin, events, refused), failure


def _encoded(said: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(said)
    except (ValueError, OverflowError, RecursionError) as error:
        raise Refused("invalid", "", f"This cannot be written as JSON: {error}") from error


def _event(
    raw: bytes | msgspec.Raw, call: str | None, pointer: str, origin: Origin, ids: "_OwnIds"
) -> Event:
    wire = decode_event(raw, pointer)
    if call is not None:
        wire.type = call
    event = convert(wire, origin)
    if not event.message_id:
        event.message_id = ids.next(own_id(event, origin, wire))
    return event


class _OwnIds:
    """Numbers identical events of one request, which are different events."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def next(self, digest: str) -> str:
        self._seen[digest] += 1
        return f"waymark-{digest}-{self._seen[digest]}"


def _append(origin: Origin, events: list[Event], refused: list[Quarantined]) -> Append:
    return Append(
        workspace_id=origin.workspace_id,
        partition=events_partition(origin.workspace_id),
        count=len(events),
        data=pack(events) if events else b"",
        quarantined=refused,
    )


def _quarantined(
    raw: bytes | msgspec.Raw, origin: Origin, reason: str, pointer: str, detail: str
) -> Quarantined:
    return Quarantined(
        origin.workspace_id,
        origin.source_id,
        reason,
        pointer,
        detail.replace("\x00", ""),
        bytes(raw),
    )


def _pointer(error: InvalidEvent) -> str:
    return str(error.members["errors"][0]["pointer"])
