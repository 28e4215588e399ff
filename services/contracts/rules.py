"""The rule language on the wire: react-querybuilder trees with nodes about events and time."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from services.contracts.conditions import Condition, Instant, NodeId, Wire

Combinator = Literal["and", "or"]
CountOperator = Literal["=", "!=", "<", "<=", ">", ">="]


class Count(Wire):
    """How often."""

    operator: CountOperator = ">="
    value: int = Field(default=1, ge=0, le=100_000)


class Window(Wire):
    """When: one sliding length (`last_seconds` or `last_days`), or `after` and/or `before`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"last_days": 30},
                {"after": "2026-01-01T00:00:00+08:00", "before": "2026-02-01T00:00:00+08:00"},
            ]
        }
    )

    last_seconds: int | None = Field(
        default=None, ge=1, le=315_360_000, description="Counts events younger than this."
    )
    last_days: int | None = Field(
        default=None, ge=1, le=3650, description="The same in days of 24 hours."
    )
    after: Instant | None = Field(default=None, description="Inclusive.")
    before: Instant | None = Field(default=None, description="Exclusive.")


class Duration(Wire):
    """A length of time: either `seconds` or `days` of 24 hours."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 3}, {"seconds": 1800}]})

    seconds: int | None = Field(default=None, ge=1, le=315_360_000)
    days: int | None = Field(default=None, ge=1, le=3650)


def _kind(node: Any) -> str:
    keys = node if isinstance(node, dict) else getattr(type(node), "model_fields", {})
    if "rules" in keys or "combinator" in keys:
        return "Group"
    known = {"event": "Event", "sequence": "Sequence", "held": "Held"}
    return next((tag for key, tag in known.items() if key in keys), "Condition")


class WhereGroup(Wire):
    """Tests of one event, all (`and`) or any (`or`) of which hold; an empty group always holds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "combinator": "and",
                    "rules": [{"field": "properties.total", "operator": ">", "value": 100}],
                }
            ]
        }
    )

    combinator: Combinator = "and"
    not_: bool = Field(default=False, alias="not")
    rules: list["WhereNode"] = Field(max_length=200)
    id: NodeId = None


WhereNode = Annotated[
    Annotated[WhereGroup, Tag("Group")] | Annotated[Condition, Tag("Condition")],
    Discriminator(_kind),
]


class EventNode(Wire):
    """The person did (or did not) do something, so often, in a window of time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "event": "Order Completed",
                    "count": {"operator": ">=", "value": 3},
                    "where": {
                        "combinator": "and",
                        "rules": [{"field": "properties.total", "operator": ">", "value": 100}],
                    },
                    "window": {"last_days": 90},
                }
            ]
        }
    )

    event: str = Field(min_length=1, max_length=500, description="The event's exact name.")
    did: bool = Field(default=True, description="false turns the whole node into its opposite.")
    count: Count | None = Field(default=None, description="At least once, if absent.")
    where: WhereGroup | None = None
    window: Window | None = Field(default=None, description="Ever, if absent.")
    id: NodeId = None


class SequenceStep(Wire):
    """One event of a sequence."""

    event: str = Field(min_length=1, max_length=500, description="The event's exact name.")
    where: WhereGroup | None = None
    did: bool = Field(
        default=True,
        description=(
            "false, on the last step only: it does not follow within the time. The sequence then "
            "holds from the moment that time has passed."
        ),
    )


class SequenceNode(Wire):
    """The person did one thing after another (or, last, did not), each strictly later.

    Each step looks at its latest 64 events. A person may also begin before an earlier try ended:
    any start counts.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sequence": [{"event": "Cart Viewed"}, {"event": "Order Completed"}],
                    "within": {"days": 1},
                    "window": {"last_days": 30},
                },
                {
                    "sequence": [
                        {"event": "Checkout Started"},
                        {"event": "Order Completed", "did": False},
                    ],
                    "within": {"seconds": 3600},
                },
            ]
        }
    )

    sequence: list[SequenceStep] = Field(min_length=2, max_length=5)
    within: Duration | None = Field(
        default=None,
        description=(
            "The last step comes less than this after the first; any time later, if absent. With "
            "a step that did not follow, absent means: never since."
        ),
    )
    window: Window | None = Field(
        default=None,
        description=(
            "When the steps happen. Ever, if absent. A step that did not follow is looked for as "
            "long as `within` says, also beyond `before`."
        ),
    )
    did: bool = Field(default=True, description="false turns the whole node into its opposite.")
    id: NodeId = None


class HeldNode(Wire):
    """A rule has held without interruption for at least so long.

    Counted from the moment the service saw it begin to hold, at the earliest when a rule that
    asks this was registered. For the one condition `segment` `=` it is the time in that segment.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "held": {
                        "combinator": "and",
                        "rules": [{"field": "traits.plan", "operator": "=", "value": "trial"}],
                    },
                    "for": {"days": 14},
                }
            ]
        }
    )

    held: "Group"
    for_: Duration = Field(alias="for")
    id: NodeId = None


class Group(Wire):
    """Nodes of which all (`and`) or any (`or`) hold; an empty group holds for everybody.

    At most 10 levels deep and 200 nodes in all, those inside `where` included.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "combinator": "and",
                    "rules": [
                        {"field": "traits.country", "operator": "=", "value": "CN"},
                        {"event": "Order Completed", "window": {"last_days": 30}},
                    ],
                }
            ]
        }
    )

    combinator: Combinator = "and"
    not_: bool = Field(default=False, alias="not")
    rules: list["Node"] = Field(max_length=200)
    id: NodeId = None


Node = Annotated[
    Annotated[Group, Tag("Group")]
    | Annotated[EventNode, Tag("Event")]
    | Annotated[SequenceNode, Tag("Sequence")]
    | Annotated[HeldNode, Tag("Held")]
    | Annotated[Condition, Tag("Condition")],
    Discriminator(_kind),
]
