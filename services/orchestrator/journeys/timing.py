"""How long a node holds people, and where they go when its time is up. Pure; times in ms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.orchestrator.journeys.compiled import look_up
from services.orchestrator.journeys.localtime import at_local, next_local, opening
from services.orchestrator.journeys.nodes import Delay, Task, TimeWindow, Wait, Webhook
from services.orchestrator.journeys.shapes import TraitTime, time_of
from services.orchestrator.times import to_ms

Timed = Delay | Wait | TimeWindow | Webhook | Task


@dataclass(slots=True, frozen=True)
class Person:
    """What timing reads of a person."""

    traits: Mapping[str, Any] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


def due_at(node: Timed, arrived_at: int, person: Person) -> int | None:
    """When the node lets go of who arrived then; None where a trait holds no time."""
    match node:
        case Delay(seconds=int(seconds)):
            return arrived_at + 1000 * seconds
        case Delay(until=datetime() as until):
            return to_ms(until)
        case Delay(local_time=local) if local is not None:
            # At that very minute the next one is meant: "wait until 9" at 9:00 waits a day.
            return next_local(arrived_at + 1, local.time, local.weekdays, person.zone)
        case Delay(trait_time=trait) if trait is not None:
            return _trait_time(trait, person)
        case TimeWindow():
            return opening(arrived_at, node.start, node.end, node.weekdays, person.zone)
        case Wait() | Webhook() | Task():
            return arrived_at + 1000 * node.timeout_seconds
        case _:
            raise AssertionError("a delay holds exactly one kind of time")


def asks_person(node: Timed) -> bool:
    """Whether ``due_at`` depends on the person."""
    if isinstance(node, Delay):
        return node.local_time is not None or node.trait_time is not None
    return isinstance(node, TimeWindow)


def _trait_time(wanted: TraitTime, person: Person) -> int | None:
    value = look_up(person.traits, wanted.trait)
    if not isinstance(value, str):
        return None
    try:
        if len(value) == len("2026-05-01"):
            day = date.fromisoformat(value)
            at = at_local(day, time_of(wanted.time), person.zone)
        else:
            moment = datetime.fromisoformat(value)
            at = to_ms(
                (moment if moment.tzinfo else moment.replace(tzinfo=person.zone)).astimezone(UTC)
            )
    except (ValueError, OverflowError):
        return None
    return at + 1000 * wanted.offset_seconds
