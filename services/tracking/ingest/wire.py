"""Request bodies of the SDKs, decoded so that a bad event cannot spoil the others."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from services.kit.problems import MalformedBody
from services.tracking.errors import InvalidEvent
from services.tracking.ingest import split
from services.tracking.ingest.refused import Refused

MAX_EVENTS = 2_500
MAX_EVENT_BYTES = 32 * 1024

Text = str | int | float | None
"""SDKs send ids as numbers and names as whatever they were called with."""
JsonObject = dict[str, Any] | None

DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Invalid UTF-8 and deep nesting are no ``MsgspecError``."""

_NOTHING = msgspec.Raw(b"null")
_PLACE = re.compile(r" - at `\$(.*)`$")


class WireEvent(msgspec.Struct, rename="camel"):
    """One call as SDKs send it; fields we do not know are skipped."""

    type: str | None = None
    message_id: Text = None
    user_id: Text = None
    anonymous_id: Text = None
    previous_id: Text = None
    group_id: Text = None
    event: Text = None
    name: Text = None
    category: Text = None
    timestamp: Text = None
    original_timestamp: Text = None
    sent_at: Text = None
    channel: Any = None
    properties: JsonObject = None
    traits: JsonObject = None
    # Left as bytes: an SDK sends the same context with every event, so it is read once.
    context: msgspec.Raw = _NOTHING


class Envelope(msgspec.Struct, rename="camel"):
    """A batch. Its ``timestamp`` is the time of flushing and no event's time: not read."""

    batch: list[msgspec.Raw]
    context: msgspec.Raw = _NOTHING
    sent_at: Any = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A decoded envelope. ``surplus``: what came beyond ``MAX_EVENTS``, in JSON arrays of at most
    so many events, since a body of millions of tiny ones must not become millions of rows."""

    events: list[msgspec.Raw]
    surplus: list[bytes]
    context: bytes
    sent_at: Any
    salvaged: bool = False


_event = msgspec.json.Decoder(WireEvent)
_envelope = msgspec.json.Decoder(Envelope)


def decode_event(raw: bytes | msgspec.Raw) -> WireEvent:
    """One event, or ``Refused`` with the field that is wrong."""
    try:
        return _event.decode(raw)
    except DECODE_ERRORS as error:
        place, detail = explain(error)
        raise Refused("invalid", place, detail) from error


def decode_envelope(body: bytes) -> Batch:
    """A batch, its events still undecoded.

    ``MalformedBody`` when it is no JSON at all, ``InvalidEvent`` when it is no batch.
    """
    try:
        found = _envelope.decode(body)
        surplus = [b"[%b]" % b",".join(part) for part in _surplus(found.batch)]
        return Batch(found.batch[:MAX_EVENTS], surplus, bytes(found.context), found.sent_at)
    except msgspec.ValidationError as error:
        place, detail = explain(error)
        raise InvalidEvent("#" + place, detail) from error
    except DECODE_ERRORS as error:
        salvaged = _salvage(body)
        if salvaged is None:
            raise MalformedBody(f"The body is not strict JSON: {explain(error)[1]}") from error
        return salvaged


def _surplus(events: list[Any]) -> Iterator[list[Any]]:
    for start in range(MAX_EVENTS, len(events), MAX_EVENTS):
        yield events[start : start + MAX_EVENTS]


def _salvage(body: bytes) -> Batch | None:
    """One bad event (NaN and half a surrogate, as Python and JavaScript write them, or worse) makes
    the whole body invalid JSON. Cut apart, the other events are found."""
    try:
        found = split.members(body)
        events = split.elements(found[b"batch"])
    except (split.NotSplittable, KeyError):
        return None
    return Batch(
        events=[msgspec.Raw(event) for event in events[:MAX_EVENTS]],
        surplus=[b"[%b]" % b",".join(part) for part in _surplus(events)],
        context=found.get(b"context", b"null"),
        sent_at=lenient(found.get(b"sentAt", b"null")),
        salvaged=True,
    )


def lenient(text: bytes) -> Any:
    """The value in ``text``; None where it is no strict JSON."""
    try:
        return msgspec.json.decode(text)
    except DECODE_ERRORS:
        return None


def explain(error: Exception) -> tuple[str, str]:
    """(JSON pointer suffix, message) of a decoding error."""
    if isinstance(error, RecursionError):
        return "", "Nested too deeply."
    text = str(error)
    place = _PLACE.search(text)
    if place is None:
        return "", text
    pointer = place[1].replace("[...]", "").replace("[", "/").replace("]", "").replace(".", "/")
    return pointer, text[: place.start()]
