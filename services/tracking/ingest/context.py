"""What an event's context says, read once per distinct context. Pure."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from services.tracking.ingest.canonical import canonical

MAX_ID_LENGTH = 255
_MAX_CACHED_BYTES = 2048
MAX_EXTERNAL = 20
"""External ids read per event: each phone number among them costs as much as ten events."""
_OF_PEOPLE = (None, "", "users", "user")
External = tuple[str, str | int]
"""(type, id) as it was sent."""
_decoder = msgspec.json.Decoder(dict[str, Any] | None)


@dataclass(frozen=True, slots=True)
class Context:
    text: str
    """Canonical JSON."""
    traits: dict[str, Any] = field(default_factory=dict)
    group_id: str = ""
    """Of the account the event belongs to, as Segment's clients name it."""
    is_device: bool = False
    """A browser or an app speaks of its user agent or device; servers send neither."""
    external: tuple[External, ...] = ()


def read_context(batch: bytes, event: bytes) -> Context:
    """The context of a batch with the event's own laid over it, key by key.

    Raises what ``msgspec`` and ``canonical`` raise.
    """
    if len(batch) + len(event) <= _MAX_CACHED_BYTES:
        return _cached(batch, event)
    return _read(batch, event)


def _read(batch: bytes, event: bytes) -> Context:
    merged = {**(_decoder.decode(batch) or {}), **(_decoder.decode(event) or {})}
    traits = merged.get("traits")
    return Context(
        text=canonical(merged),
        traits=traits if isinstance(traits, dict) else {},
        group_id=_group_id(merged.get("groupId")),
        is_device=bool(merged.get("userAgent") or merged.get("device")),
        external=_external(merged),
    )


def _group_id(value: Any) -> str:
    """What could be no ``groupId`` beside the context names no account."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and len(text) <= MAX_ID_LENGTH else ""


def _external(context: dict[str, Any]) -> tuple[External, ...]:
    """Segment's ``externalIds`` and RudderStack's ``externalId``; what has another shape says
    nothing."""
    found: list[External] = []
    for said in (context.get("externalIds"), context.get("externalId")):
        for each in said if isinstance(said, list) else ():
            if not isinstance(each, dict) or each.get("collection") not in _OF_PEOPLE:
                continue
            kind, value = each.get("type"), each.get("id")
            if not isinstance(value, str | int) or isinstance(value, bool):
                continue
            # A person is known by their userId alone, which columns and rules read as well.
            if isinstance(kind, str) and kind != "user_id":
                found.append((kind, value))
    return tuple(found[:MAX_EXTERNAL])


_cached = lru_cache(maxsize=4096)(_read)
