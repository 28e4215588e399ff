"""Which events count for which leaves. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from services.contracts.events import Event
from services.profile.rules.ruleset import RuleSet
from services.profile.rules.states import Key

_EMPTY: dict[str, Any] = {}


def count(
    rules: RuleSet,
    events: Iterable[Event],
    owners: Iterable[str],
    canonical: Callable[[str], str],
) -> dict[Key, list[int]]:
    """Times (ms) of the events that match a leaf, by (living profile, leaf)."""
    found: dict[Key, list[int]] = {}
    if not rules.by_event:
        return found
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for event, owner in zip(events, owners, strict=True):
        plans = rules.by_event.get(event.event)
        if plans is None:
            continue
        properties = decode(event.properties) if event.properties != "{}" else _EMPTY
        needs_context = any(plan.needs_context for plan in plans)
        context = decode(event.context) if needs_context else _EMPTY
        for plan in plans:
            if plan.matches(properties, context):
                key = (canonical(owner), plan.leaf.leaf_id)
                found.setdefault(key, []).append(event.occurred_at)
    return found
