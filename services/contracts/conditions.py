"""Conditions of the rule language on the wire: one test of one field."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)

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


class Wire(BaseModel):
    """Strict, closed and frozen: a rule is data that is hashed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TimeValue(Wire):
    """An instant: the field is read as an ISO 8601 time with zone and compared on the time line."""

    time: Instant = Field(examples=["2026-03-01T00:00:00+08:00"])


Text = Annotated[StrictStr, Field(max_length=1000)]
Scalar = StrictBool | StrictInt | StrictFloat | Text
Value = Scalar | TimeValue | Annotated[list[Scalar | TimeValue], Field(max_length=1000)] | None


class Condition(Wire):
    """One test of a field of a profile."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"field": "traits.plan", "operator": "=", "value": "pro"},
                {"field": "computed.orders_90d", "operator": ">=", "value": 3},
                {"field": "consent.marketing", "operator": "=", "value": "granted"},
                {"field": "traits.email", "operator": "notNull"},
                {"field": "bucket.summer", "operator": "<", "value": 2500},
            ]
        }
    )

    field: str = Field(
        min_length=1,
        max_length=200,
        description=(
            "`traits.<path>`, `computed.<name>`, `account.<path>`, `segment`, `stage`, "
            "`consent.<purpose>` or `bucket.<salt>`; inside an event's `where`: "
            "`properties.<path>` or `context.<path>`. A path names nested object keys, joined by "
            "dots. `bucket.<salt>` is a whole number from 0 to 9999 that each person has for good, "
            "evenly spread and independent between salts: `<` 2500 holds for 25 % of people."
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
