"""What several parts of a journey graph are made of."""

import re
from collections.abc import Iterable
from datetime import time
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.contracts.rules import Group, WhereGroup

YEAR_SECONDS = 31_536_000
LONGEST_WINDOW_SECONDS = 90 * 86_400

NodeId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Stable across versions: it is part of the key that keeps sends unique.",
        examples=["remind"],
    ),
]
NextId = Annotated[NodeId, Field(description="Id of the node that comes next.")]
JourneyKey = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["welcome"]),
]
Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9_]{1,64}$",
        description="What statistics and outcomes call it.",
        examples=["completed"],
    ),
]
EventName = Annotated[str, Field(min_length=1, max_length=500, examples=["Offer Viewed"])]
Path = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="Path of an event property, keys joined by dots.",
        examples=["offer_id"],
    ),
]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            "not a time zone of the tz database, such as Asia/Shanghai or Europe/Berlin"
        ) from error
    return name


ZoneName = Annotated[str, Field(max_length=64, examples=["Asia/Shanghai"]), AfterValidator(_zone)]

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _clock_time(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError("not a time of day as HH:MM, 00:00 to 23:59")
    return text


ClockTime = Annotated[
    str,
    Field(description="Time of day, HH:MM, in the person's time zone.", examples=["09:00"]),
    AfterValidator(_clock_time),
]
Weekday = Annotated[int, Field(ge=1, le=7, description="1 is Monday, 7 is Sunday.")]
Weekdays = Annotated[
    list[Weekday],
    Field(
        min_length=1,
        max_length=7,
        description="1 is Monday, 7 is Sunday; every day if left out.",
        examples=[[1, 2, 3, 4, 5]],
    ),
]
EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]


def time_of(text: str) -> time:
    return time.fromisoformat(text)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def exactly_one(values: dict[str, Any]) -> None:
    """Raises ``ValueError`` naming what may be given unless exactly one is."""
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        said = " and ".join(given) if given else "none"
        raise ValueError(f"give exactly one of {_listed(values)}; given: {said}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


Where = Annotated[
    WhereGroup | None,
    Field(description="Filter over the event's `properties.` and `context.` paths."),
]
Match = Annotated[
    dict[Path, Path],
    Field(
        max_length=5,
        description="Property of this event → property of the entry event it must equal: so that "
        "the order of one cart does not end the reminder of another.",
        examples=[{"offer_id": "offer_id"}],
    ),
]


class EventMatch(Strict):
    """An event of the person."""

    event: EventName
    where: Where = None
    match: Match = Field(default_factory=dict)


class Condition(Strict):
    """An event that happens (`event`, with `where` and `match`), or a rule that holds (`rule`).

    An event counts once it happens from now on. A rule counts whether it holds already or comes to.
    """

    event: EventName | None = None
    where: Where = None
    match: Match = Field(default_factory=dict)
    rule: Group | None = Field(None, description="A rule as in segments.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one({"event": self.event, "rule": self.rule})
        if self.rule is not None and (self.where is not None or self.match):
            raise ValueError("`where` and `match` belong to an `event`")
        return self


class ExitRule(Condition):
    """Ends the journey for a person at once, wherever they are in it."""

    reason: Name


class Goal(Condition):
    """What the journey is for. Each person's each way through it counts it once."""

    id: Name
    value: Path | None = Field(
        None, description="Property of the event that holds a number: what it is worth."
    )
    exits: bool = Field(True, description="Whether reaching it ends the journey for the person.")
    window_seconds: int = Field(
        0,
        ge=0,
        le=LONGEST_WINDOW_SECONDS,
        description="Counted for so long after the person left, too; for goals of an `event`.",
    )


class LocalTime(Strict):
    """The next such time of day, on such a day, in the person's time zone."""

    time: ClockTime
    weekdays: Weekdays = Field(default_factory=lambda: list(EVERY_DAY))


class TraitTime(Strict):
    """A time that a trait of the person holds: a date (`2026-05-01`) or a time with its zone."""

    trait: Path = Field(examples=["renewal_date"])
    offset_seconds: int = Field(
        0,
        ge=-YEAR_SECONDS,
        le=YEAR_SECONDS,
        description="Added to it: negative for before.",
        examples=[-604_800],
    )
    time: ClockTime = Field("09:00", description="For traits that hold a date only.")


Purpose = Literal["marketing", "transactional"]
