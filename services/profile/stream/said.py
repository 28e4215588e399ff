"""What one event says about its person, by itself. Pure."""

from dataclasses import dataclass
from typing import Any

import msgspec

from services.contracts.events import Event
from services.profile.consents import statements
from services.profile.consents.ledger import Statement
from services.profile.traits.size import may_exceed


@dataclass(slots=True)
class Said:
    """What one event says about its person."""

    traits: dict[str, Any]
    consents: list[Statement]
    large: bool = False
    """A trait among them may exceed what one value may be."""


Saying = tuple[int, Event, Said]
"""An event, its index in the block and what it says."""


def said(event: Event) -> Said | None:
    """Traits and consents of an event, or None, which is the common case and costs little."""
    traits: dict[str, Any] = {}
    consents: list[Statement] = []
    large = False
    # Looking for the key in the text spares decoding contexts that hold neither.
    if '"traits"' in event.context or '"consent"' in event.context:
        context = _object(event.context)
        traits.update(_mapping(context.get("traits")))
        large = bool(traits) and may_exceed(event.context)
        consents = statements.preferences(context)
    if event.event in statements.EVENTS:
        properties = _object(event.properties)
        consents += statements.explicit(event.event, properties, event.source_id)
    # The traits of a group call are the group's, not the person's.
    if event.type == "identify" and event.traits != "{}":
        traits.update(_object(event.traits))
        large = large or may_exceed(event.traits)
    return Said(traits, consents, large) if traits or consents else None


def _object(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return _mapping(value)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
