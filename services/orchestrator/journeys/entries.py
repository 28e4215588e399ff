"""What lets people into a journey."""

from typing import Annotated, Literal, Self
from uuid import UUID

from dateutil.rrule import rrulestr
from pydantic import AfterValidator, Field, NaiveDatetime, model_validator

from services.contracts.rules import Group
from services.orchestrator.journeys.shapes import (
    YEAR_SECONDS,
    EventName,
    NextId,
    Path,
    Strict,
    Where,
    ZoneName,
)

EntryMode = Literal["once", "after_exit", "concurrent_by_key"]
ANCHOR_KEY = "@anchor"

InstanceKey = Annotated[
    list[str],
    Field(
        max_length=6,
        description="Property paths of the entry event whose values tell instances apart, such as "
        "an order's id.",
        examples=[["offer_id"]],
    ),
]


class Anchor(Strict):
    """The latest event of this name at or before the entry event with the same properties.

    Without such an event nobody enters.
    """

    event: EventName
    match: list[Path] = Field(
        min_length=1, max_length=5, description="Properties that must equal the entry event's."
    )


class Unless(Strict):
    """Bars entry: such an event at or after the anchor and before the entry event."""

    event: EventName
    where: Where = None
    match: list[Path] = Field(
        min_length=1, max_length=5, description="The same properties as the anchor's `match`."
    )
    since: Literal["anchor"] = "anchor"


class EntryCap(Strict):
    """At most so many people enter within each hour or day (UTC), or ever; later ones do not."""

    people: int = Field(ge=1, le=1_000_000_000)
    per: Literal["hour", "day", "ever"]


class _Entry(Strict):
    entry_mode: EntryMode = Field(
        "once",
        description="`once`: once per person (and instance key, if given) for ever. `after_exit`: "
        "one at a time per person, and again after leaving. `concurrent_by_key`: one at a time per "
        "value of the instance key, and again after that one left.",
    )
    cooldown_seconds: int = Field(
        0, ge=0, le=YEAR_SECONDS, description="Between leaving and entering again."
    )
    audience: Group | None = Field(
        None,
        description="Only people for whom this rule holds enter. It is asked once the trigger is "
        "known, so a condition that the trigger itself makes true or untrue is a race: say it as a "
        "filter of the trigger instead.",
    )
    cap: EntryCap | None = None
    next: NextId


class EventEntry(_Entry):
    """People enter when they do something."""

    kind: Literal["event"]
    event: EventName
    where: Where = None
    anchor: Anchor | None = None
    unless: Unless | None = None
    instance_key: list[str] = Field(
        default_factory=list,
        max_length=6,
        description="Property paths of the entry event whose values tell instances apart, such as "
        f"an order's id; `{ANCHOR_KEY}` stands for the anchor event itself.",
        examples=[["offer_id", ANCHOR_KEY]],
    )


class SegmentEntry(_Entry):
    """People enter when they come into a segment, or when they leave it."""

    kind: Literal["segment"]
    segment_id: UUID
    change: Literal["entered", "exited"] = "entered"


class StageEntry(_Entry):
    """People enter when they come into a stage of a map's stage model, or leave one."""

    kind: Literal["stage"]
    model_id: UUID
    to: str | None = Field(None, max_length=200, description="Stage they come into; any if null.")
    from_: str | None = Field(
        None, max_length=200, alias="from", description="Stage they leave; any if null."
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.to is None and self.from_ is None:
            raise ValueError("give `to`, `from` or both")
        return self


class StallEntry(_Entry):
    """People enter when they have been in a stage for as long as its model calls a stall."""

    kind: Literal["stall"]
    model_id: UUID
    stage_id: str = Field(max_length=200)


def _rule(text: str) -> str:
    if "\n" in text or "DTSTART" in text.upper() or "FREQ" not in text.upper():
        raise ValueError("not one recurrence rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO")
    if any(f"FREQ={each}" in text.upper() for each in ("SECONDLY", "MINUTELY")):
        raise ValueError("a schedule runs at most hourly")
    try:
        rrulestr(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"not a recurrence rule of RFC 5545: {error}") from error
    return text


class ScheduleEntry(_Entry):
    """Everybody in a segment enters at each time of a schedule."""

    kind: Literal["schedule"]
    segment_id: UUID
    starts_at: NaiveDatetime = Field(
        description="The first time, by the clock of `timezone`.", examples=["2027-01-04T09:00:00"]
    )
    timezone: ZoneName = "UTC"
    recurrence: Annotated[
        str | None,
        Field(
            max_length=300,
            description="When it comes again: a recurrence rule of RFC 5545 without `DTSTART`, at "
            "most hourly; null for once.",
            examples=["FREQ=WEEKLY;BYDAY=MO"],
        ),
        AfterValidator(lambda text: text if text is None else _rule(text)),
    ] = None


class ApiEntry(_Entry):
    """People enter by `POST /api/v1/journeys/{journey_id}/entries`, or by another journey."""

    kind: Literal["api"]
    instance_key: InstanceKey = Field(default_factory=list)


Entry = Annotated[
    EventEntry | SegmentEntry | StageEntry | StallEntry | ScheduleEntry | ApiEntry,
    Field(discriminator="kind"),
]
