"""The journey graph as people write it: a typed tree of JSON, strict about what it knows."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.rules import Group, WhereGroup

EntryMode = Literal["once", "after_exit", "concurrent_by_key"]
Purpose = Literal["marketing", "transactional"]
ANCHOR_KEY = "@anchor"

NodeId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Stable across versions: it is part of the key that keeps sends unique.",
        examples=["remind"],
    ),
]
NextId = Annotated[NodeId, Field(description="Id of the node that comes next.")]
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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Anchor(_Strict):
    """The latest event of this name at or before the entry event with the same properties.

    Without such an event nobody enters.
    """

    event: EventName
    match: list[Path] = Field(
        min_length=1, max_length=5, description="Properties that must equal the entry event's."
    )


class Unless(_Strict):
    """Bars entry: such an event at or after the anchor and before the entry event."""

    event: EventName
    where: WhereGroup | None = None
    match: list[Path] = Field(
        min_length=1, max_length=5, description="The same properties as the anchor's `match`."
    )
    since: Literal["anchor"] = "anchor"


class _Entry(_Strict):
    entry_mode: EntryMode = Field(
        "once",
        description="`once`: once per person (and instance key, if given) for ever. `after_exit`: "
        "one at a time per person, and again after leaving. `concurrent_by_key`: one at a time per "
        "value of the instance key, and again after that one left.",
    )
    cooldown_seconds: int = Field(
        0, ge=0, le=31_536_000, description="Between leaving and entering again."
    )
    next: NextId


class EventEntry(_Entry):
    """People enter when they do something."""

    kind: Literal["event"]
    event: EventName
    where: WhereGroup | None = Field(
        None, description="Filter over the event's `properties.` and `context.` paths."
    )
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


class Delay(_Strict):
    """Waits a fixed time."""

    id: NodeId
    type: Literal["delay"]
    seconds: int = Field(ge=1, le=31_536_000)
    next: NextId


class WaitEvent(_Strict):
    """Waits for an event of the person, at most `timeout_seconds`.

    What counts is when the event happened: from the arrival at this node to its deadline, both
    included.
    """

    id: NodeId
    type: Literal["wait_event"]
    event: EventName
    where: WhereGroup | None = None
    match: dict[Path, Path] = Field(
        default_factory=dict,
        max_length=5,
        description="Property of the awaited event → property of the entry event it must equal.",
        examples=[{"offer_id": "offer_id"}],
    )
    timeout_seconds: int = Field(ge=1, le=31_536_000)
    on_event: NextId
    on_timeout: NextId


class BranchCase(_Strict):
    rule: Group = Field(description="A rule as in segments.")
    next: NextId


class Branch(_Strict):
    """Goes the way of the first rule that holds."""

    id: NodeId
    type: Literal["branch"]
    branches: list[BranchCase] = Field(min_length=1, max_length=20)
    otherwise: NextId


class Message(_Strict):
    """Sends a message made from a template through a channel of any kind but `webhook`, to the
    person's latest address there, and goes on."""

    id: NodeId
    type: Literal["message"]
    channel_id: UUID
    template_id: UUID
    next: NextId


class Webhook(_Strict):
    """Posts a signed request and goes on.

    Texts inside `payload` are Liquid templates with the same variables as messages.
    """

    id: NodeId
    type: Literal["webhook"]
    channel_id: UUID
    payload: dict[str, Any] = Field(
        default_factory=dict,
        examples=[{"user": "{{ profile.user_id }}", "offer": "{{ event.properties.offer_id }}"}],
    )
    next: NextId


class Exit(_Strict):
    """The end; `reason` is what statistics call it."""

    id: NodeId
    type: Literal["exit"]
    reason: str = Field("finished", pattern=r"^[a-z0-9_]{1,64}$", examples=["completed"])


Node = Annotated[Delay | WaitEvent | Branch | Message | Webhook | Exit, Field(discriminator="type")]
Entry = Annotated[EventEntry | SegmentEntry, Field(discriminator="kind")]


class Graph(_Strict):
    """A journey as one document."""

    name: str = Field(min_length=1, max_length=200, examples=["Offer reminder"])
    entry: Entry
    nodes: list[Node] = Field(min_length=1, max_length=200)
    purpose: Purpose = Field(
        "marketing", description="Marketing messages need the person's consent at the moment sent."
    )
    subscription_group_id: UUID | None = Field(
        None,
        description="Marketing messages then need membership of this group as well, and their "
        "unsubscribe link ends that membership. Without one it ends all marketing on the channel.",
    )
    max_event_age_seconds: int = Field(
        86_400,
        ge=1,
        le=31_536_000,
        description="Older events never start this journey, so importing history is safe.",
    )


def required_consents(graph: Graph) -> list[str]:
    """Purposes a message of the journey needs, the one that its unsubscribe link ends last."""
    if graph.purpose != "marketing":
        return []
    group = graph.subscription_group_id
    return ["marketing"] if group is None else ["marketing", f"group:{group}"]


def fits(node: Message | Webhook, channel_type: str) -> bool:
    """Whether the node can send through a channel of this type."""
    return (channel_type == "webhook") == isinstance(node, Webhook)


def exits_of(node: Node) -> Iterator[tuple[str, str]]:
    """(place of the reference inside the node, id of the node it leads to)."""
    match node:
        case WaitEvent():
            yield "on_event", node.on_event
            yield "on_timeout", node.on_timeout
        case Branch():
            for index, branch in enumerate(node.branches):
                yield f"branches/{index}/next", branch.next
            yield "otherwise", node.otherwise
        case Exit():
            return
        case _:
            yield "next", node.next
