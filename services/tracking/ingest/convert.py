"""Wire events → canonical events: identity, names, traits and times. Pure (clock passed in).

The hottest code of the platform: what recurs from event to event (names, ids, contexts) is worked
out once and remembered.
"""

import hashlib
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from services.contracts.events import Event, EventType
from services.identifiers import BUILT_IN, Identifier, Policy, subject_id
from services.tracking.ingest import clock
from services.tracking.ingest.canonical import NotCanonical, canonical
from services.tracking.ingest.context import MAX_ID_LENGTH, Context, External, read_context
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import DECODE_ERRORS, Text, WireEvent, explain
from services.tracking.named import identifiers, normalised

MAX_NAME_LENGTH = 500

CALLS: dict[str, EventType] = {
    kind: kind for kind in ("track", "identify", "page", "screen", "group", "alias")
}
_VIEWS = {"page": "Page Viewed", "screen": "Screen Viewed"}


class Origin(msgspec.Struct, frozen=True):
    """Who sent a request, and what its events share. Times in ms since the epoch."""

    workspace_id: UUID
    source_id: str
    received_at: int
    sent_at: int | None = None
    context: bytes = b"null"
    """The batch's, which its events share."""
    server_key: bool = False
    """The write key came the way servers send it (Basic authentication)."""
    anonymous_id: str = ""
    """Of the person at the device, for events that name nobody."""
    request_id: str = ""
    """Ours, the same when the gateway hands the request to another process of this role."""
    by_contact: bool = False
    """Email or phone may name the person alone: for senders that know whom they speak of."""
    policy: Policy = BUILT_IN
    """Of identity, by which the workspace's events are read."""


def convert(wire: WireEvent, origin: Origin) -> Event:
    """One event without its message id where the client sent none (see ``own_id``)."""
    kind = CALLS.get(wire.type or "")
    if kind is None:
        raise Refused("unknown_type", "/type", f"Use one of {', '.join(CALLS)}.")
    context = _read_context(origin.context, wire.context)
    traits = wire.traits or {}
    if kind == "identify" and context.traits:
        traits = {**context.traits, **traits}
    who = _who(wire, origin, kind, context, traits)
    original = clock.parse(wire.timestamp)
    if original is None and wire.original_timestamp:
        original = clock.parse(wire.original_timestamp)
    sent = clock.parse(wire.sent_at) if wire.sent_at else None
    if sent is None:
        sent = origin.sent_at
    server_side = wire.channel == "server" or (origin.server_key and not context.is_device)
    times = clock.resolve(original, sent, origin.received_at, server_side)
    properties = wire.properties
    if kind in _VIEWS:
        properties = _view(wire)
    # By position, in the order of the class: by name costs half as much again.
    return Event(
        _id(wire.message_id, "messageId"),
        origin.source_id,
        kind,
        _track_name(wire.event) if kind == "track" else _VIEWS.get(kind, kind),
        who.subject_id,
        who.identifiers,
        who.user_id,
        who.anonymous_id,
        times.occurred_at,
        times.original_at,
        origin.received_at,
        sent,
        times.source,
        who.previous_id,
        _group(kind, wire.group_id) if wire.group_id or kind == "group" else context.group_id,
        _canonical(properties, "/properties") if properties else "{}",
        _canonical(traits, "/traits") if traits else "{}",
        context.text,
    )


class _Who(NamedTuple):
    subject_id: str
    identifiers: list[Identifier]
    user_id: str
    anonymous_id: str
    previous_id: str


def _who(
    wire: WireEvent, origin: Origin, kind: EventType, context: Context, traits: dict[str, Any]
) -> _Who:
    policy, workspace_id = origin.policy, origin.workspace_id
    user = _named(policy, workspace_id, "user_id", wire.user_id)
    anonymous = _named(policy, workspace_id, "anonymous_id", wire.anonymous_id)
    others = _external(policy, context.external) if context.external else ()
    if not user.id and not anonymous.id:
        anonymous = _named(policy, workspace_id, "anonymous_id", origin.anonymous_id)
        if not anonymous.id and not others and not origin.by_contact:
            raise Refused("missing_id", "/userId", "A usable userId or anonymousId is needed.")
    person = traits if kind == "identify" else context.traits
    email, phone = _contacts(policy, person) if person else ("", "")
    previous = _previous(wire, user.id) if kind == "alias" else ""
    named = identifiers(user.id, email, phone, anonymous.id, previous, policy)
    if others or policy is not BUILT_IN:
        named = policy.by_priority([*named, *others])
    if not named:
        raise Refused("missing_id", "", "A usable id, email or phone is needed.")
    subject = user.subject_id or anonymous.subject_id
    if not user.id and (others or len(named) > 1 or not subject):
        # The first of its identifiers, by the policy's order.
        subject = _subject(workspace_id, *named[0])
    return _Who(subject, named, user.id, anonymous.id, previous)


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


def _read_context(batch: bytes, event: bytes | msgspec.Raw) -> Context:
    try:
        return read_context(batch, bytes(event))
    except NotCanonical as error:
        raise Refused(error.reason, "/context" + error.pointer, error.detail) from error
    except DECODE_ERRORS as error:
        place, detail = explain(error)
        raise Refused("invalid", "/context" + place, detail) from error


def _canonical(value: dict[str, Any], pointer: str) -> str:
    try:
        return canonical(value)
    except NotCanonical as error:
        raise Refused(error.reason, pointer + error.pointer, error.detail) from error


class _Named(NamedTuple):
    """A userId or anonymousId: as it is compared, and the subject it makes. Empty where it names
    nobody."""

    id: str = ""
    subject_id: str = ""


_NOBODY = _Named()
_FIELDS = {"user_id": "userId", "anonymous_id": "anonymousId"}


@lru_cache(maxsize=65_536)
def _named(policy: Policy, workspace_id: UUID, namespace: str, raw: Text) -> _Named:
    value = normalised(policy, namespace, _id(raw, _FIELDS[namespace]))
    return _Named(value, _subject(workspace_id, namespace, value)) if value else _NOBODY


def _contacts(policy: Policy, person: dict[str, Any]) -> tuple[str, str]:
    """Email and phone, normalised; empty where there is none."""
    email, phone = person.get("email"), person.get("phone")
    return (
        normalised(policy, "email", email) if isinstance(email, str) and email else "",
        normalised(policy, "phone", phone) if isinstance(phone, str) and phone else "",
    )


@lru_cache(maxsize=4096)
def _external(policy: Policy, said: tuple[External, ...]) -> tuple[Identifier, ...]:
    """Those that the policy declares; the event itself keeps what was said."""
    found = ((kind, policy.normalise(kind, value)) for kind, value in said)
    return tuple((kind, value) for kind, value in found if value)


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
    if "\x00" in text:
        raise _nul(field)
    return text


def _nul(field: str) -> Refused:
    return Refused("nul", f"/{field}", "The character U+0000 is not accepted.")


@lru_cache(maxsize=4096)
def _track_name(raw: Text) -> str:
    name = _text(raw)
    if "\x00" in name:
        raise _nul("event")
    if not name or len(name) > MAX_NAME_LENGTH:
        detail = f"A track call needs a name of 1 to {MAX_NAME_LENGTH} characters."
        raise Refused("missing_event" if not name else "invalid", "/event", detail)
    return name


def _previous(wire: WireEvent, user: str) -> str:
    previous = _id(wire.previous_id, "previousId")
    if not previous:
        raise Refused("missing_id", "/previousId", "An alias call needs a previousId.")
    # analytics-next sends an alias of an id to itself after identify: nothing to join.
    return "" if previous == user else previous


def _group(kind: EventType, raw: Text) -> str:
    group = _id(raw, "groupId")
    if kind == "group" and not group:
        raise Refused("missing_id", "/groupId", "A group call needs a groupId.")
    return group


def _view(wire: WireEvent) -> dict[str, Any]:
    """What a page or a screen says of itself lies among its properties."""
    said = {"name": wire.name, "category": wire.category}
    return {k: v for k, v in said.items() if v is not None} | (wire.properties or {})
