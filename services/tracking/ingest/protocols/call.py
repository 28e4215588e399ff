"""What every protocol adapter takes and makes, and how bodies are cut into events. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.kit.problems import MalformedBody
from services.tracking.errors import InvalidEvent
from services.tracking.ingest import split
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import DECODE_ERRORS, MAX_EVENTS, explain, lenient


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: its body unpacked, its headers in lower case, its query, ``received_at`` in ms."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    received_at: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One event as sent (``raw``, which quarantine keeps) and as Segment's clients would say it."""

    raw: bytes
    said: dict[str, Any] | Refused
    position: int | None = None
    """In the list it came in, where that is not its place among the calls."""


@dataclass(frozen=True, slots=True)
class Calls:
    """A request's events. ``single``: it could hold but one, so a bad one is answered with 400.

    ``surplus``: what came beyond ``MAX_EVENTS``, untranslated, in lists of at most so many.
    """

    calls: list[Call]
    sent_at: Any = None
    single: bool = False
    surplus: list[bytes] = field(default_factory=list)
    list_at: str = "#/batch"
    """JSON pointer to the list in the body."""
    shared: bytes = b"null"
    """JSON of what lies outside of an event and its translation reads."""

    def position(self, index: int) -> int | None:
        """Where the call's event was in its list; None where it came alone."""
        if self.single:
            return None
        position = self.calls[index].position
        return index if position is None else position

    def place(self, index: int) -> str:
        """JSON pointer to the call's event in the body."""
        position = self.position(index)
        return "#" if position is None else f"{self.list_at}/{position}"


Adapter = Callable[[Sent], Calls]
Translate = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Cut:
    """A body's events, still undecoded, and what its envelope says beside them."""

    events: list[bytes]
    envelope: dict[str, Any] = field(default_factory=dict)
    single: bool = False
    surplus: list[bytes] = field(default_factory=list)

    def translated(self, translate: Translate, sent_at: Any = None) -> Calls:
        """Each event as ``translate`` says it."""
        calls = [_translated(raw, translate) for raw in self.events]
        return Calls(calls, sent_at, self.single, self.surplus)


_any = msgspec.json.Decoder()
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, Any])


def cut(body: bytes) -> Cut:
    """One event, a list of events, or an object with a list of events under ``batch``.

    What is no strict JSON (NaN, half a surrogate) spoils its event, not the others. Raises
    ``MalformedBody``, or ``InvalidEvent`` where ``batch`` is no list.
    """
    try:
        return _cut(body)
    except msgspec.ValidationError as error:
        place, detail = explain(error)
        raise InvalidEvent("#" + place, detail) from error
    except DECODE_ERRORS as error:
        found = _salvage(body)
        if found is None:
            raise MalformedBody(f"The body is not strict JSON: {explain(error)[1]}") from error
        return found


def _cut(body: bytes) -> Cut:
    if body.lstrip()[:1] == b"[":
        return _bounded(_list.decode(body), {})
    members = _members.decode(body)
    batch = members.pop("batch", None)
    if batch is None:
        return Cut([body], single=True)
    envelope = {name: _any.decode(raw) for name, raw in members.items()}
    return _bounded(_list.decode(batch), envelope)


def _bounded(events: list[msgspec.Raw], envelope: dict[str, Any]) -> Cut:
    """A body of millions of tiny events must not become millions of anything."""
    surplus = [
        b"[%b]" % b",".join(events[start : start + MAX_EVENTS])
        for start in range(MAX_EVENTS, len(events), MAX_EVENTS)
    ]
    return Cut([bytes(raw) for raw in events[:MAX_EVENTS]], envelope, surplus=surplus)


def _salvage(body: bytes) -> Cut | None:
    """Cut apart without being read, so that one bad event costs none of the others."""
    try:
        if body.lstrip()[:1] == b"[":
            return _bounded([msgspec.Raw(raw) for raw in split.elements(body)], {})
        found = split.members(body)
        events = [msgspec.Raw(raw) for raw in split.elements(found.pop(b"batch"))]
    except (split.NotSplittable, KeyError):
        return None
    return _bounded(events, {name.decode("latin-1"): lenient(raw) for name, raw in found.items()})


def _translated(raw: bytes, translate: Translate) -> Call:
    """The event in ``raw`` as ``translate`` says it; it may raise ``Refused``."""
    try:
        return Call(raw, translate(_object.decode(raw)))
    except Refused as refused:
        return Call(raw, refused)
    except DECODE_ERRORS as error:
        place, detail = explain(error)
        return Call(raw, Refused("invalid", place, detail))


def text(value: Any) -> str:
    """A text as it is, nothing for other kinds."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    """An object as it is, an empty one for other kinds."""
    return value if isinstance(value, dict) else {}


def given(**fields: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
