"""What an event's context says, read once per distinct context. Pure."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from services.tracking.ingest.canonical import canonical

_MAX_CACHED_BYTES = 2048
_decoder = msgspec.json.Decoder(dict[str, Any] | None)


@dataclass(frozen=True, slots=True)
class Context:
    text: str
    """Canonical JSON."""
    traits: dict[str, Any] = field(default_factory=dict)
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
        is_device=bool(merged.get("userAgent") or merged.get("device")),
    )


_cached = lru_cache(maxsize=4096)(_read)
