"""What an event's context says, read once per distinct context. Pure."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from services.tracking.ingest.canonical import canonical

MAX_ID_LENGTH = 255
_MAX_CACHED_BYTES = 2048
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
    )


def _group_id(value: Any) -> str:
    """What could be no ``groupId`` beside the context names no account."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and len(text) <= MAX_ID_LENGTH else ""


_cached = lru_cache(maxsize=4096)(_read)
