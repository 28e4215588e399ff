"""The nodes of a journey graph as people write them, and where each of them leads."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from services.contracts.rules import Group
from services.orchestrator.journeys.shapes import (
    EVERY_DAY,
    YEAR_SECONDS,
    ClockTime,
    Condition,
    EventMatch,
    EventName,
    LocalTime,
    Name,
    NextId,
    NodeId,
    Path,
    Strict,
    TraitTime,
    Weekdays,
    exactly_one,
)


class Delay(Strict):
    """Waits: give exactly one of `seconds`, `until`, `local_time` and `trait_time`.

    A time that is past already, or a trait without a time, lets the person go on at once.
    """

    id: NodeId
    type: Literal["delay"]
    seconds: int | None = Field(None, ge=1, le=YEAR_SECONDS)
    until: AwareDatetime | None = None
    local_time: LocalTime | None = None
    trait_time: TraitTime | None = None
    next: NextId

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(
            {
                "seconds": self.seconds,
                "until": self.until,
                "local_time": self.local_time,
                "trait_time": self.trait_time,
            }
        )
        return self


class WaitBranch(Condition):
    """One way out of a wait."""

    next: NextId


class Wait(Strict):
    """Waits for the first of several events or rules, at most `timeout_seconds`.

    An event counts by when it happened: from the arrival at this node to its deadline, both
    included. A rule that holds on arrival passes at once.
    """

    id: NodeId
    type: Literal["wait"]
    branches: list[WaitBranch] = Field(
        min_length=1, max_length=9, description="The best first, where `ranked`."
    )
    timeout_seconds: int = Field(ge=1, le=YEAR_SECONDS)
    on_timeout: NextId
    ranked: bool = Field(
        False,
        description="Wait on to the deadline and go the best way that came true; the first branch "
        "passes at once. Otherwise whatever comes first decides.",
    )
    reset_on: list[EventMatch] = Field(
        default_factory=list,
        max_length=3,
        description="Such an event starts the timeout anew, up to a year after the arrival.",
    )


class TimeWindow(Strict):
    """Lets people through from `start` to `end` of these days; others wait until it opens.

    A window over midnight (`start` after `end`) belongs to the day on which it starts.
    """

    id: NodeId
    type: Literal["time_window"]
    start: ClockTime
    end: ClockTime
    weekdays: Weekdays = Field(default_factory=lambda: list(EVERY_DAY))
    next: NextId

    @model_validator(mode="after")
    def _open(self) -> Self:
        if self.start == self.end:
            raise ValueError("`start` and `end` are the same: the window would never open")
        return self


class BranchCase(Strict):
    rule: Group = Field(description="A rule as in segments.")
    next: NextId


class Branch(Strict):
    """Goes the way of the first rule that holds."""

    id: NodeId
    type: Literal["branch"]
    branches: list[BranchCase] = Field(min_length=1, max_length=20)
    otherwise: NextId


class SplitArm(Strict):
    id: Name
    weight: int = Field(ge=0, le=10_000, description="Its share of the sum of all weights.")
    next: NextId


class Split(Strict):
    """Divides people by chance. The same person goes the same way each time.

    Arms are chosen by a hash of the person and this node, so changed weights move as few people as
    can be. To measure a difference, use an `experiment`, which keeps who was shown what.
    """

    id: NodeId
    type: Literal["split"]
    arms: list[SplitArm] = Field(min_length=2, max_length=20)
    each_time: bool = Field(
        False, description="Choose anew each time the person enters the journey."
    )

    @model_validator(mode="after")
    def _weighted(self) -> Self:
        if sum(arm.weight for arm in self.arms) == 0:
            raise ValueError("all weights are 0; give at least one arm a weight")
        return self


class ExperimentWay(Strict):
    id: Name = Field(description="Id of a variant of the experiment.")
    next: NextId


class Experiment(Strict):
    """Divides people into the variants of an experiment, which counts who was shown what.

    A person keeps the variant they were shown first, also on coming again. Before the experiment
    is started everybody gets its fallback variant; once it is stopped, the one decided for.
    """

    id: NodeId
    type: Literal["experiment"]
    experiment_id: UUID
    variants: list[ExperimentWay] = Field(
        min_length=2, max_length=10, description="Each variant of the experiment once."
    )


class Message(Strict):
    """Sends a message made from a template through a channel of any kind but `webhook`, to the
    person's latest address there, and goes on."""

    id: NodeId
    type: Literal["message"]
    channel_id: UUID
    template_id: UUID
    tags: list[Name] = Field(
        default_factory=list, max_length=20, description="What caps tell messages apart by."
    )
    expires_after_seconds: int | None = Field(
        None,
        ge=1,
        le=YEAR_SECONDS,
        description="Not sent any more when it is older, as after quiet hours; without it the "
        "workspace's policies say.",
    )
    next: NextId


class Webhook(Strict):
    """Posts a signed request and goes on; with `capture` or `on_failure` it waits for the answer.

    Texts inside `payload` are Liquid templates with the same variables as messages.
    """

    id: NodeId
    type: Literal["webhook"]
    channel_id: UUID
    payload: dict[str, Any] = Field(
        default_factory=dict,
        examples=[{"user": "{{ profile.user_id }}", "offer": "{{ event.properties.offer_id }}"}],
    )
    capture: dict[Name, Path] = Field(
        default_factory=dict,
        max_length=20,
        description="Name → path in the answer's JSON. Templates of later nodes read the value as "
        "`context.<name>`: texts up to 2,000 characters, numbers and booleans.",
        examples=[{"coupon": "data.code"}],
    )
    on_failure: NextId | None = Field(
        None, description="Where people go when it failed for good; `next` if left out."
    )
    timeout_seconds: int = Field(
        86_400,
        ge=1,
        le=30 * 86_400,
        description="How long the answer is waited for, tries again included; then it failed.",
    )
    next: NextId

    @property
    def awaits(self) -> bool:
        """Whether people rest here until the answer is known."""
        return bool(self.capture) or self.on_failure is not None


class UpdateProfile(Strict):
    """Sets traits of the person and goes on. Texts are Liquid templates; null removes a trait."""

    id: NodeId
    type: Literal["update_profile"]
    traits: dict[str, Any] = Field(
        min_length=1, max_length=50, examples=[{"welcomed": True, "tier": "{{ context.tier }}"}]
    )
    next: NextId


class ListChange(Strict):
    """Puts the person on a list (a segment kept by hand), or takes them off, and goes on."""

    id: NodeId
    type: Literal["list"]
    segment_id: UUID
    action: Literal["add", "remove"] = "add"
    next: NextId


class Emit(Strict):
    """Makes an event of the person, as if a source had sent it, and goes on.

    Texts inside `properties` are Liquid templates. It can start and wake other journeys.
    """

    id: NodeId
    type: Literal["emit"]
    event: EventName
    properties: dict[str, Any] = Field(default_factory=dict, examples=[{"step": "welcomed"}])
    next: NextId


class CallJourney(Strict):
    """Lets the person into another journey, whose entry is `api`, and goes on at once."""

    id: NodeId
    type: Literal["journey"]
    journey_id: UUID
    properties: dict[str, Any] = Field(
        default_factory=dict,
        description="What the other journey sees as `event.properties`; texts are Liquid.",
    )
    next: NextId


class TaskOutcome(Strict):
    id: Name
    next: NextId


class Task(Strict):
    """Asks people for something and waits until they have done it, `PUT /tasks/{id}/outcome`."""

    id: NodeId
    type: Literal["task"]
    title: str = Field(min_length=1, max_length=500, examples=["Call the customer"])
    department: str = Field(
        min_length=1, max_length=200, description="Whose it is.", examples=["Service"]
    )
    outcomes: list[TaskOutcome] = Field(min_length=1, max_length=9)
    timeout_seconds: int = Field(ge=1, le=YEAR_SECONDS)
    on_timeout: NextId


class GoalReached(Strict):
    """Counts a goal of the journey by coming here, and goes on."""

    id: NodeId
    type: Literal["goal"]
    goal: Name
    next: NextId


class Exit(Strict):
    """The end; `reason` is what statistics call it."""

    id: NodeId
    type: Literal["exit"]
    reason: Name = "finished"


Node = Annotated[
    Delay
    | Wait
    | TimeWindow
    | Branch
    | Split
    | Experiment
    | Message
    | Webhook
    | UpdateProfile
    | ListChange
    | Emit
    | CallJourney
    | Task
    | GoalReached
    | Exit,
    Field(discriminator="type"),
]


def fits(node: Message | Webhook, channel_type: str) -> bool:
    """Whether the node can send through a channel of this type."""
    return (channel_type == "webhook") == isinstance(node, Webhook)


def exits_of(node: Node) -> Iterator[tuple[str, str]]:
    """(place of the reference inside the node, id of the node it leads to)."""
    match node:
        case Wait():
            yield from _each("branches", node.branches)
            yield "on_timeout", node.on_timeout
        case Branch():
            yield from _each("branches", node.branches)
            yield "otherwise", node.otherwise
        case Split():
            yield from _each("arms", node.arms)
        case Experiment():
            yield from _each("variants", node.variants)
        case Task():
            yield from _each("outcomes", node.outcomes)
            yield "on_timeout", node.on_timeout
        case Webhook(on_failure=str(target)):
            yield "next", node.next
            yield "on_failure", target
        case Exit():
            return
        case _:
            yield "next", node.next


def _each(
    name: str, ways: Sequence[WaitBranch | BranchCase | SplitArm | ExperimentWay | TaskOutcome]
) -> Iterator[tuple[str, str]]:
    for index, way in enumerate(ways):
        yield f"{name}/{index}/next", way.next
