"""Wire events → canonical events: identity, names, traits and times. Pure (clock passed in)."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from services.contracts.events import Event, EventType
from services.identifiers import subject_id
from services.tracking.ingest import clock
from services.tracking.ingest.canonical import NotCanonical, canonical
from services.tracking.ingest.context import Context, read_context
from services.tracking.ingest.wire import DECODE_ERRORS, Text, WireEvent, explain
from services.tracking.named import identifiers, normalised

MAX_ID_LENGTH = 255
MAX_NAME_LENGTH = 500

CALLS: dict[str, EventType] = {
    kind: kind for kind in ("track", "identify", "page", "screen", "group", "alias")
}
_VIEWS = {"page": "Page Viewed", "screen": "Screen Viewed"}


class Refused(Exception):
    """The event goes to quarantine: ``reason`` is a stable word, ``pointer`` the field in it."""

    def __init__(self, reason: str, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.pointer = pointer
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Origin:
    """What all events of a request share. ``sent_at``, ``received_at`` in ms since the epoch."""

    workspace_id: UUID
    source_id: str
    received_at: int
    sent_at: int | None = None
    context: bytes = b"null"
    server_key: bool = False
    anonymous_id: str = ""
    request_id: str = ""


def convert(wire: WireEvent, origin: Origin) -> Event:
    """One event without its message id where the client sent none (see ``own_id``)."""
    kind = CALLS.get(wire.type or "")
    if kind is None:
        raise Refused("unknown_type", "/type", f"Use one of {', '.join(CALLS)}.")
    context = _context(wire, origin)
    traits = wire.traits or {}
    if kind == "identify" and context.traits:
        traits = {**context.traits, **traits}
    user = normalised("user_id", _id(wire.user_id, "userId"))
    anonymous = normalised("anonymous_id", _id(wire.anonymous_id, "anonymousId"))
    if not user and not anonymous and origin.anonymous_id:
        anonymous = normalised("anonymous_id", _id(origin.anonymous_id, "anonymousId"))
    if not user and not anonymous:
        raise Refused("missing_id", "/userId", "A usable userId or anonymousId is needed.")
    person = traits if kind == "identify" else context.traits
    previous = _previous(kind, wire, user)
    email, phone = (_said(person, namespace) for namespace in ("email", "phone"))
    named = identifiers(user, email, phone, anonymous, previous)
    original = clock.parse(wire.timestamp)
    if original is None:
        original = clock.parse(wire.original_timestamp)
    sent = clock.parse(wire.sent_at)
    sent = origin.sent_at if sent is None else sent
    server_side = wire.channel == "server" or (origin.server_key and not context.is_device)
    times = clock.resolve(original, sent, origin.received_at, server_side)
    return Event(
        message_id=_id(wire.message_id, "messageId"),
        source_id=origin.source_id,
        type=kind,
        event=_name(kind, wire),
        subject_id=_subject(origin.workspace_id, *named[0]),
        identifiers=named,
        user_id=user,
        anonymous_id=anonymous,
        occurred_at=times.occurred_at,
        original_at=times.original_at,
        received_at=origin.received_at,
        sent_at=sent,
        time_source=times.source,
        previous_id=previous,
        group_id=_group(kind, wire),
        properties=_canonical(_properties(kind, wire), "/properties"),
        traits=_canonical(traits, "/traits"),
        context=context.text,
    )


def own_id(event: Event, origin: Origin, wire: WireEvent) -> str:
    """The same for the same event sent again, if the client says when it happened.

    Without a time nothing tells a client's second try from a second event. It counts as an event:
    to lose every login but the first would be worse than to count a retry twice.
    """
    timed = wire.timestamp or wire.original_timestamp
    said = (
        *(str(origin.workspace_id), event.source_id, event.type, event.event),
        *(event.user_id, event.anonymous_id, event.previous_id, event.group_id),
        *(wire.timestamp, wire.original_timestamp, "" if timed else origin.request_id),
        *(event.properties, event.traits, event.context),
    )
    return hashlib.blake2b(msgspec.json.encode(said), digest_size=16).hexdigest()


def check_context(text: bytes) -> None:
    """``Refused`` when a batch's own context is not acceptable."""
    _read_context(text, b"null")


def _context(wire: WireEvent, origin: Origin) -> Context:
    return _read_context(origin.context, bytes(wire.context))


def _read_context(batch: bytes, event: bytes) -> Context:
    try:
        return read_context(batch, event)
    except NotCanonical as error:
        raise Refused(error.reason, "/context" + error.pointer, error.detail) from error
    except DECODE_ERRORS as error:
        place, detail = explain(error)
        raise Refused("invalid", "/context" + place, detail) from error


def _canonical(value: dict[str, Any] | None, pointer: str) -> str:
    try:
        return canonical(value)
    except NotCanonical as error:
        raise Refused(error.reason, pointer + error.pointer, error.detail) from error


def _said(person: dict[str, Any], namespace: str) -> str:
    raw = person.get(namespace) if person else None
    return normalised(namespace, raw) if isinstance(raw, str) and raw else ""


@lru_cache(maxsize=65_536)
def _subject(workspace_id: UUID, namespace: str, value: str) -> str:
    return str(subject_id(workspace_id, namespace, value))


def _text(value: Text) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        # JavaScript has one kind of number: 12 and 12.0 are the same id.
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _id(value: Text, field: str) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else _text(value)
    if len(text) > MAX_ID_LENGTH:
        raise Refused("invalid", f"/{field}", f"Longer than {MAX_ID_LENGTH} characters.")
    return _clean(text, field)


def _clean(text: str, field: str) -> str:
    if "\x00" in text:
        raise Refused("nul", f"/{field}", "The character U+0000 is not accepted.")
    return text


def _name(kind: EventType, wire: WireEvent) -> str:
    if kind != "track":
        return _VIEWS.get(kind, kind)
    name = _clean(_text(wire.event), "event")
    if not name or len(name) > MAX_NAME_LENGTH:
        detail = f"A track call needs a name of 1 to {MAX_NAME_LENGTH} characters."
        raise Refused("missing_event" if not name else "invalid", "/event", detail)
    return name


def _previous(kind: EventType, wire: WireEvent, user: str) -> str:
    if kind != "alias":
        return ""
    previous = _id(wire.previous_id, "previousId")
    if not previous:
        raise Refused("missing_id", "/previousId", "An alias call needs a previousId.")
    # analytics-next sends an alias of an id to itself after identify: nothing to join.
    return "" if previous == user else previous


def _group(kind: EventType, wire: WireEvent) -> str:
    group = _id(wire.group_id, "groupId")
    if kind == "group" and not group:
        raise Refused("missing_id", "/groupId", "A group call needs a groupId.")
    return group


def _properties(kind: EventType, wire: WireEvent) -> dict[str, Any] | None:
    properties = wire.properties
    if kind not in _VIEWS or (wire.name is None and wire.category is None):
        return properties
    return {
        **{k: v for k, v in (("name", wire.name), ("category", wire.category)) if v is not None},
        **(properties or {}),
    }
