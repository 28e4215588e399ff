"""Keeps what is not for everybody's eyes out of what is told. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec

from services.contracts.events import Event
from services.profile.traits.policy import Rules


def hide(traits: dict[str, Any], rules: Rules) -> tuple[dict[str, Any], list[str]]:
    """The traits that may be shown, and the names of the others."""
    masked = rules.masked(traits)
    if not masked:
        return traits, []
    return {key: value for key, value in traits.items() if key not in masked}, sorted(masked)


def without_masked(statements: Iterable[tuple[int, Event, Any]], rules: Rules) -> dict[int, str]:
    """Contexts, by the event's index, of events that say masked traits there: without them."""
    if rules.idle:
        return {}
    found: dict[int, str] = {}
    for index, event, said in statements:
        if '"traits"' in event.context and (masked := rules.masked(said.traits)):
            context = msgspec.json.decode(event.context)
            said_there = context.get("traits")
            if isinstance(said_there, dict) and not masked.isdisjoint(said_there):
                context["traits"] = {k: v for k, v in said_there.items() if k not in masked}
                found[index] = msgspec.json.encode(context).decode()
    return found
