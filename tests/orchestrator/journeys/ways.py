"""One person's way through small graphs, for tests of the pure parts."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.position import Step, Way
from services.orchestrator.journeys.step import Known, enter, take
from services.orchestrator.journeys.timing import Person
from services.orchestrator.times import to_ms
from tests.orchestrator.journeys.graphs import (
    PERSON,
)

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
JOURNEY = UUID(int=9)


def ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return to_ms(datetime(year, month, day, hour, minute, tzinfo=UTC))


T = ms(2026, 11, 26, 8)  # a Thursday


def way(trigger: Happening | None = None, rotation: int = 1, person: UUID = PERSON) -> Way:
    return Way(person, JOURNEY, rotation, T, trigger)


def entered(
    journey: Compiled, known: Known | None = None, now: int = T, walker: Way | None = None
) -> Step:
    position = enter(journey, T).position
    return take(journey, position, walker or way(), known or Known(), now)


def known(zone: ZoneInfo = SHANGHAI, **traits: Any) -> Known:
    return Known(person=Person(traits, zone))


def left(step: Step) -> str | None:
    """The last node that was passed on to, once out of the journey."""
    return step.moves[-1].source if step.position.state == "exited" else None
