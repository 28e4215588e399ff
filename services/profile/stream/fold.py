"""What the events of a block say about traits and consents, folded in log order. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from services.contracts.events import Event
from services.profile.consents import statements
from services.profile.consents.ledger import ConsentEntry, Consents, Statement
from services.profile.identity.resolve import Merge, Resolution
from services.profile.profiles.traits import Traits


@dataclass(slots=True)
class Said:
    """What one event says about its person."""

    traits: dict[str, Any]
    consents: list[Statement]


@dataclass(slots=True)
class Folded:
    traits: dict[str, Traits]
    consents: dict[str, Consents]
    ledger: list[ConsentEntry] = field(default_factory=list)
    confirmed_purposes: frozenset[str] = frozenset()
    """Purposes of which a grant counts only once its contact point's owner confirmed it."""


def said(event: Event) -> Said | None:
    """Traits and consents of an event, or None, which is the common case and costs little."""
    traits: dict[str, Any] = {}
    consents: list[Statement] = []
    # Looking for the key in the text spares decoding contexts that hold neither.
    if '"traits"' in event.context or '"consent"' in event.context:
        context = _object(event.context)
        traits.update(_mapping(context.get("traits")))
        consents = statements.preferences(context)
    if event.event in statements.EVENTS:
        properties = _object(event.properties)
        consents += statements.explicit(event.event, properties, event.source_id)
    # The traits of a group call are the group's, not the person's.
    if event.type == "identify" and event.traits != "{}":
        traits.update(_object(event.traits))
    return Said(traits, consents) if traits or consents else None


def fold(events: Iterable[tuple[int, Event, Said]], resolution: Resolution, folded: Folded) -> None:
    """Apply ``(index, event, said)`` in order, and the merges where they happened.

    ``folded`` starts with the profiles known before the block; missing ones are blank.
    """
    merges = iter(resolution.merges)
    pending = next(merges, None)
    for index, event, statement in events:
        while pending is not None and pending.index <= index:
            _absorb(pending, folded)
            pending = next(merges, None)
        _learn(resolution.owners[index], index, event, statement, folded)
    if pending is not None:
        for merge in (pending, *merges):
            _absorb(merge, folded)


def _absorb(merge: Merge, folded: Folded) -> None:
    if (traits := folded.traits.get(merge.loser)) is not None:
        folded.traits.setdefault(merge.winner, Traits()).absorb(traits)
    if (consents := folded.consents.get(merge.loser)) is not None:
        folded.consents.setdefault(merge.winner, Consents()).absorb(consents)


def _learn(profile_id: str, index: int, event: Event, said: Said, folded: Folded) -> None:
    if said.traits:
        folded.traits.setdefault(profile_id, Traits()).learn(said.traits, event.occurred_at)
    at, source, message_id = event.occurred_at, event.source_id, event.message_id
    for line, statement in enumerate(said.consents):
        if statement.place.purpose in folded.confirmed_purposes:
            statement = _unless_confirmed(statement)
        known = folded.consents.setdefault(profile_id, Consents())
        if known.learn(statement, at):
            entry = ConsentEntry(index, line, profile_id, statement, at, source, message_id)
            folded.ledger.append(entry)


def _unless_confirmed(statement: Statement) -> Statement:
    if statement.state == "granted" and not statement.confirmed:
        return replace(statement, state="pending")
    return statement


def _object(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return _mapping(value)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
