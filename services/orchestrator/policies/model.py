"""Policies as one document per workspace."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from services.orchestrator.journeys.shapes import (
    EVERY_DAY,
    ClockTime,
    Name,
    Strict,
    Weekdays,
    ZoneName,
    time_of,
)

DAY_SECONDS = 86_400
LONGEST_SECONDS = 31 * DAY_SECONDS
LARGEST_LIMIT = 1_000
Medium = Annotated[
    str,
    Field(
        pattern=r"^[a-z_]{1,40}$",
        description="The channel that consents name, whichever kind of channel sends.",
        examples=["email"],
    ),
]


class Cap(Strict):
    """At most `limit` marketing messages per person or address within a time.

    A message is counted before it is sent, and no longer once it is known not to have been sent.
    Several caps hold together.
    """

    name: Name
    per: Literal["person", "address"] = Field(
        "person", description="`address`: an address that several people share counts as one."
    )
    media: list[Medium] = Field(
        default_factory=list, max_length=20, description="Only these count; none: all."
    )
    tags: list[Name] = Field(
        default_factory=list,
        max_length=20,
        description="Only messages of nodes with one of these tags count; none: all.",
    )
    limit: int = Field(ge=1, le=LARGEST_LIMIT)
    rolling_seconds: int | None = Field(
        None, ge=60, le=LONGEST_SECONDS, description="Within any stretch of this length …"
    )
    calendar: Literal["day", "week", "month"] | None = Field(
        None, description="… or within a day, week (from Monday) or month of the person's zone."
    )
    over: Literal["skip", "wait"] = Field(
        "skip",
        description="`skip` the message, and the person goes on; or let it `wait` until there is "
        "room, unless it expires before.",
    )

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if (self.rolling_seconds is None) == (self.calendar is None):
            raise ValueError("give exactly one of `rolling_seconds` and `calendar`")
        return self


class QuietHours(Strict):
    """Marketing messages wait for the end of these hours, in the person's time zone. Hours over
    midnight (`start` after `end`) belong to the day on which they start."""

    start: ClockTime = Field(examples=["21:00"])
    end: ClockTime = Field(examples=["08:00"])
    weekdays: Weekdays = Field(default_factory=lambda: list(EVERY_DAY))
    media: list[Medium] = Field(
        default_factory=list, max_length=20, description="Only these wait; none: all."
    )
    spread_minutes: int = Field(
        15,
        ge=0,
        le=180,
        description="Those that waited go out over so many minutes, each at its own moment.",
    )
    per_minute: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Of those that waited, a channel lets so many go per minute, in the order in "
        "which they came to wait, instead of all within `spread_minutes`. Who has no turn before "
        "the next quiet hours waits again.",
    )

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.start == self.end:
            raise ValueError("`start` and `end` are the same: the hours would never end")
        start, end = time_of(self.start), time_of(self.end)
        open_minutes = (60 * (start.hour - end.hour) + start.minute - end.minute) % (24 * 60)
        if self.per_minute is None and self.spread_minutes > open_minutes:
            raise ValueError(
                f"`spread_minutes` is longer than the {open_minutes} minutes from `end` to the "
                "next `start`: some messages would never find an open moment"
            )
        return self


class Expiry(Strict):
    """How old a message may be when it is sent; older ones are skipped (`expired`)."""

    marketing_seconds: int = Field(3 * DAY_SECONDS, ge=60, le=LONGEST_SECONDS)
    transactional_seconds: int = Field(3 * DAY_SECONDS, ge=60, le=LONGEST_SECONDS)


class Arbiter(Strict):
    """When several journeys want the same person within a time, the best goes.

    The best is the one of the highest `priority`; of equal ones that whose people were worth most
    so far (the value of its goals per person who entered), then the one that came first. Each
    marketing message waits `window_seconds` for rivals before it is sent.
    """

    window_seconds: int = Field(ge=1, le=DAY_SECONDS, examples=[60])
    others: Literal["skip", "wait"] = Field(
        "skip",
        description="`skip` the others (`arbiter: <key of the journey that won>`), or let them "
        "`wait` until the window behind the winner is over.",
    )


_EXAMPLE: dict[str, JsonValue] = {
    "caps": [
        {"name": "daily", "limit": 2, "calendar": "day", "media": ["email", "sms"]},
        {"name": "offers", "limit": 3, "rolling_seconds": 604_800, "tags": ["offer"]},
    ],
    "quiet_hours": {"start": "21:00", "end": "08:00"},
    "default_zone": "Asia/Shanghai",
}


class PoliciesDocument(Strict):
    """Transactional messages and webhooks are neither counted nor held by any of these."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [_EXAMPLE]},
    )

    caps: list[Cap] = Field(default_factory=list, max_length=20)
    quiet_hours: QuietHours | None = None
    default_zone: ZoneName | None = Field(
        None,
        description="For people of whom no zone is known, neither by the traits `timezone` or "
        "`country`, nor by their phone number, nor by the journey. Needed by quiet hours and by "
        "caps by the calendar.",
    )
    expiry: Expiry = Field(default_factory=Expiry)
    arbiter: Arbiter | None = None

    @property
    def idle(self) -> bool:
        """Nothing in it could hold or skip a message but its age."""
        return not self.caps and self.quiet_hours is None and self.arbiter is None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [cap.name for cap in self.caps]
        if len(set(names)) < len(names):
            raise ValueError("two caps have the same name")
        zoned = self.quiet_hours is not None or any(cap.calendar for cap in self.caps)
        if zoned and self.default_zone is None:
            raise ValueError("`default_zone` is needed: somebody's zone may not be known")
        return self


class PoliciesChange(Strict):
    """The whole document anew."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"version": 0, "document": _EXAMPLE}]},
    )

    version: int = Field(ge=0, description="The version this replaces, as `GET` tells it.")
    document: PoliciesDocument


class Policies(BaseModel):
    version: int = Field(description="0: never written; nothing is held or capped.")
    document: PoliciesDocument
    written_by: str | None
    written_at: datetime | None
