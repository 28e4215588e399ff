"""The journey graph as people write it: a typed tree of JSON, strict about what it knows."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from services.orchestrator.journeys.entries import Entry
from services.orchestrator.journeys.nodes import Node
from services.orchestrator.journeys.shapes import YEAR_SECONDS, ExitRule, Goal, Strict, ZoneName

Purpose = Literal["marketing", "transactional"]


class Graph(Strict):
    """A journey as one document."""

    name: str = Field(min_length=1, max_length=200, examples=["Offer reminder"])
    entry: Entry
    nodes: list[Node] = Field(min_length=1, max_length=200)
    goals: list[Goal] = Field(
        default_factory=list, max_length=10, description="What the journey is for, first first."
    )
    exit_rules: list[ExitRule] = Field(
        default_factory=list,
        max_length=20,
        description="What ends it for a person at once, also in the middle of a delay. Asked again "
        "before each message.",
    )
    purpose: Purpose = Field(
        "marketing", description="Marketing messages need the person's consent at the moment sent."
    )
    subscription_group_id: UUID | None = Field(
        None,
        description="Marketing messages then need membership of this group as well, and their "
        "unsubscribe link ends that membership. Without one it ends all marketing on the channel.",
    )
    priority: int = Field(
        50,
        ge=0,
        le=100,
        description="Which journey goes first where policies let only one message through.",
    )
    max_event_age_seconds: int = Field(
        86_400,
        ge=1,
        le=YEAR_SECONDS,
        description="Older events never start this journey, so importing history is safe.",
    )
    timezone: ZoneName = Field(
        "UTC",
        description="For people of whom no time zone is known, neither by the trait `timezone` nor "
        "by their phone number or country.",
    )


def required_consents(graph: Graph) -> list[str]:
    """Purposes a message of the journey needs, the one that its unsubscribe link ends last."""
    if graph.purpose != "marketing":
        return []
    group = graph.subscription_group_id
    return ["marketing"] if group is None else ["marketing", f"group:{group}"]
