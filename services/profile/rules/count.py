"""Which events count for which leaves. Pure."""

from collections.abc import Iterable
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
) -> dict[Key, list[int]]:
    """Times (ms) of the events that match a leaf, by (profile, leaf).

    ``owners``: the living profile of each event.
    """
    found: dict[Key, list[int]] = {}
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    # By event name: whether any leaf reads the context, and (leaf id, filter) of each.
    plans = {
        name: (any(p.needs_context for p in each), [(p.leaf.leaf_id, p.matches) for p in each])
        for name, each in rules.by_event.items()
    }
    for event, owner in zip(events, owners, strict=True):
        planned = plans.get(event.event)
        if planned is None:
            continue
        needs_context, leaves = planned
        properties = decode(event.properties) if event.properties != "{}" else _EMPTY
        context = decode(event.context) if needs_context else _EMPTY
        for leaf_id, matches in leaves:
            if matches(properties, context):
                times = found.get((owner, leaf_id))
                if times is None:
                    found[owner, leaf_id] = [event.occurred_at]
                else:
                    times.append(event.occurred_at)
    return found
