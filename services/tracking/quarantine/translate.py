"""Refused events of other protocols, said once more as Segment's clients would. Pure."""

import msgspec

from services.kit.problems import MalformedBody
from services.tracking.errors import InvalidEvent
from services.tracking.ingest.accept import encoded
from services.tracking.ingest.convert import Origin
from services.tracking.ingest.protocols.call import Sent
from services.tracking.ingest.protocols.registry import ADAPTERS
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import lenient
from services.tracking.quarantine.origin import Circumstances
from services.tracking.webhooks import calls as webhooks
from services.tracking.webhooks.mapping_model import MappingDocument


def translated(
    raw: bytes | msgspec.Raw,
    said: Circumstances,
    mapping: MappingDocument | None,
    position: int,
    origin: Origin,
) -> list[bytes | msgspec.Raw]:
    """One event, or none where ``mapping`` (its source's, as it is now) does not want it.

    ``Refused`` where there is no saying it.
    """
    if not said.protocol:
        return [raw]
    if said.protocol == webhooks.PROTOCOL:
        delivery = webhooks.decode(bytes(said.shared))
        call = webhooks.one(needed(mapping), bytes(raw), delivery, position)
        return [] if call is None else [encoded(call.said)]
    adapter = ADAPTERS.get(said.protocol)
    if adapter is None:
        raise Refused("invalid", "", f"Nothing reads {said.protocol} any more.")
    try:
        found = adapter(Sent(bytes(raw), _headers(said), received_at=origin.received_at))
    except (MalformedBody, InvalidEvent) as error:
        raise Refused("invalid", "", error.detail) from error
    if not found.single:
        raise Refused("invalid", "", "It is no single event.")
    return [encoded(call.said) for call in found.calls]


def _headers(said: Circumstances) -> dict[str, str]:
    shared = lenient(bytes(said.shared))
    headers = shared.get("headers") if isinstance(shared, dict) else None
    return headers if isinstance(headers, dict) else {}


def needed(mapping: MappingDocument | None) -> MappingDocument:
    """``Refused`` where a webhook's source has no mapping."""
    if mapping is None:
        raise Refused(webhooks.UNMAPPED, "", "The source has no webhook mapping.")
    return mapping
