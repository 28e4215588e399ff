"""The rule language on the wire: react-querybuilder trees with event nodes."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
)

Combinator = Literal["and", "or"]
CountOperator = Literal["=", "!=", "<", "<=", ">", ">="]
Operator = Literal[
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "contains",
    "doesNotContain",
    "beginsWith",
    "doesNotBeginWith",
    "endsWith",
    "doesNotEndWith",
    "in",
    "notIn",
    "between",
    "notBetween",
    "null",
    "notNull",
]

_ZONED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")


def _zoned_text(value: Any) -> Any:
    """Refuse what pydantic would read leniently: numbers, dates, strings without a zone."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and not _ZONED.fullmatch(value)):
        raise ValueError("write an ISO 8601 time with its zone, such as 2026-03-01T00:00:00Z")
    return value


Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_zoned_text)]
NodeId = Annotated[
    str | None, Field(max_length=100, description="Kept for editors; no part of the meaning.")
]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TimeValue(_Wire):
    """An instant: the field is read as an ISO 8601 time with zone and compared on the time line."""

    time: Instant = Field(examples=["2026-03-01T00:00:00+08:00"])


Text = Annotated[StrictStr, Field(max_length=1000)]
Scalar = StrictBool | StrictInt | StrictFloat | Text
Value = Scalar | TimeValue | Annotated[list[Scalar | TimeValue], Field(max_length=1000)] | None


class Condition(_Wire):
    """One test of a field of a profile."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"field": "traits.plan", "operator": "=", "value": "pro"},
                {"field": "computed.orders_90d", "operator": ">=", "value": 3},
                {"field": "consent.marketing", "operator": "=", "value": "granted"},
                {"field": "traits.email", "operator": "notNull"},
            ]
        }
    )

    field: str = Field(
        min_length=1,
        max_length=200,
        description=(
            "`traits.<path>`, `computed.<name>`, `account.<path>`, `segment`, `stage` or "
            "`consent.<purpose>`; inside an event's `where`: `properties.<path>` or "
            "`context.<path>`. A path names nested object keys, joined by dots."
        ),
    )
    operator: Operator = Field(
        description=(
            "Negative operators are the exact opposite of their positive ones, so `!=` holds for "
            "a missing field. `between` includes both ends. `contains` finds a part of a string "
            "or an element of a list."
        )
    )
    value: Value = Field(
        default=None,
        description=(
            "A string, number or boolean; a list for `in`, `notIn`; a pair for `between`, "
            '`notBetween`; nothing for `null`, `notNull`; `{"time": …}` compares instants.'
        ),
    )
    id: NodeId = None


class Count(_Wire):
    """How often."""

    operator: CountOperator = ">="
    value: int = Field(default=1, ge=0, le=100_000)


class Window(_Wire):
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


def _kind(node: Any) -> str:
    keys = node if isinstance(node, dict) else getattr(type(node), "model_fields", {})
    if "rules" in keys or "combinator" in keys:
        return "Group"
    return "Event" if "event" in keys else "Condition"


class WhereGroup(_Wire):
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


class EventNode(_Wire):
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


class Group(_Wire):
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
    | Annotated[Condition, Tag("Condition")],
    Discriminator(_kind),
]
