"""What a webhook mapping may say: values, conditions and rules, as data."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from services.contracts.events import EventType

Scalar = str | int | float | bool
Kind = Literal["string", "number", "boolean"]
JsonPointer = Annotated[
    str,
    StringConstraints(max_length=500, pattern=r"^(/([^~/\x00]|~[01])*){0,32}$"),
    Field(
        description='RFC 6901, at most 32 levels: `/customer/id`, `/items/0/sku`; "" is all of it.'
    ),
]
HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$", to_lower=True)
]
Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class ConstantValue(_Strict):
    """The same for every event."""

    constant: Text | int | float | bool = Field(examples=["Order Placed"])


class _Looked(_Strict):
    kind: Kind | None = Field(
        None,
        alias="as",
        description='Convert to this: "12.50" as `number` is 12.5, 7 as `string` is "7", "true" as '
        "`boolean` is true. What cannot be converted sends the event to quarantine.",
    )
    table: dict[Text, Text] | None = Field(
        None,
        max_length=500,
        description="Replaces the value found (as a text) by another.",
        examples=[{"orders/create": "Order Placed", "refunds/create": "Order Refunded"}],
    )
    otherwise: Literal["keep", "skip"] | ConstantValue = Field(
        "keep",
        description="A value that is not in `table`: `keep` it as it is, `skip` the event, or take "
        "a constant.",
    )


class FromPointer(_Looked):
    """What stands at a place of the item; nothing where there is no such place, or null."""

    pointer: JsonPointer
    within: Literal["item", "body"] = Field(
        "item", description="With `each`: of the element, or of what stands around the list."
    )


class FromHeader(_Looked):
    """The value of a request header."""

    header: HeaderName = Field(examples=["X-Shopify-Topic"])


def _key(value: Any) -> str | None:
    names = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    return next((name for name in ("pointer", "header", "constant") if name in names), None)


def _one_of(name: str) -> Discriminator:
    return Discriminator(_key, custom_error_type="value_form", custom_error_message=f"Give {name}.")


Found = Annotated[
    Annotated[FromPointer, Tag("pointer")] | Annotated[FromHeader, Tag("header")],
    _one_of('an object with "pointer" or "header"'),
]
Value = Annotated[
    Annotated[FromPointer, Tag("pointer")]
    | Annotated[FromHeader, Tag("header")]
    | Annotated[ConstantValue, Tag("constant")],
    _one_of('an object with "pointer", "header" or "constant"'),
]


class MappingCondition(_Strict):
    """Holds where the value is one of `in`; absent values are null."""

    value: Found
    among: list[Scalar | None] = Field(
        alias="in", min_length=1, max_length=100, examples=[["orders/create", "orders/paid"]]
    )


class MappedTimestamp(_Strict):
    """When it happened. Absent: the moment of arrival."""

    value: Found
    format: Literal["iso", "epoch_seconds", "epoch_milliseconds"] = Field(
        "iso", description="ISO 8601 (UTC where no zone is given), or a number since 1970."
    )


class MappedProperties(_Strict):
    """A whole object, single fields, or both: fields are laid over the object."""

    pointer: JsonPointer | None = Field(None, examples=["/data/object"])
    fields: dict[Name, Value] = Field(
        default_factory=dict,
        max_length=200,
        examples=[{"total": {"pointer": "/total_price", "as": "number"}}],
    )


class MappingRule(_Strict):
    """How an item becomes one event."""

    when: list[MappingCondition] = Field(
        default_factory=list, max_length=10, description="All of them hold; empty: always."
    )
    type: EventType = Field("track", description="The call it becomes.")
    event: Value | None = Field(None, description="The event's name; `track` needs one.")
    user_id: Value | None = Field(None, description="This or `anonymous_id` is needed.")
    anonymous_id: Value | None = None
    group_id: Value | None = Field(None, description="`group` needs one.")
    previous_id: Value | None = Field(None, description="`alias` needs one.")
    name: Value | None = Field(None, description="Of a page or screen.")
    category: Value | None = Field(None, description="Of a page or screen.")
    message_id: Value | None = Field(
        None,
        description="Idempotency key: a partner that sends a webhook again sends the same one. "
        "Absent: the `webhook-id` of Standard Webhooks; without that an id made of what the event "
        "says, or of the request where it has no timestamp.",
    )
    timestamp: MappedTimestamp | None = None
    properties: MappedProperties | None = None
    traits: MappedProperties | None = Field(
        None, description="What is known of the person; of the account for `group`."
    )


SHOP: dict[str, Any] = {
    "rules": [
        {
            "when": [
                {"value": {"header": "X-Shopify-Topic"}, "in": ["orders/create", "orders/paid"]}
            ],
            "event": {
                "header": "X-Shopify-Topic",
                "table": {"orders/create": "Order Placed", "orders/paid": "Order Paid"},
            },
            "user_id": {"pointer": "/customer/id", "as": "string"},
            "anonymous_id": {"pointer": "/checkout_token"},
            "message_id": {"header": "X-Shopify-Webhook-Id"},
            "timestamp": {"value": {"pointer": "/created_at"}},
            "properties": {
                "fields": {
                    "order_id": {"pointer": "/id", "as": "string"},
                    "total": {"pointer": "/total_price", "as": "number"},
                    "currency": {"pointer": "/currency"},
                }
            },
            "traits": {"fields": {"email": {"pointer": "/email"}}},
        },
        {
            "when": [{"value": {"header": "X-Shopify-Topic"}, "in": ["customers/update"]}],
            "type": "identify",
            "user_id": {"pointer": "/id", "as": "string"},
            "message_id": {"header": "X-Shopify-Webhook-Id"},
            "timestamp": {"value": {"pointer": "/updated_at"}},
            "traits": {"fields": {"email": {"pointer": "/email"}}},
        },
    ]
}
PAYMENTS: dict[str, Any] = {
    "rules": [
        {
            "event": {
                "pointer": "/type",
                "table": {
                    "invoice.paid": "Invoice Paid",
                    "customer.subscription.deleted": "Subscription Cancelled",
                },
                "otherwise": "skip",
            },
            "user_id": {"pointer": "/data/object/customer"},
            "message_id": {"pointer": "/id"},
            "timestamp": {"value": {"pointer": "/created"}, "format": "epoch_seconds"},
            "properties": {"pointer": "/data/object"},
        }
    ]
}


class MappingDocument(BaseModel):
    """How a partner's JSON becomes events."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [SHOP, PAYMENTS]})

    each: JsonPointer | None = Field(
        None,
        description="Pointer to a list, each element of which is an item. Absent: the whole body "
        'is one item. "": the body itself is the list.',
        examples=["/events"],
    )
    rules: list[MappingRule] = Field(
        min_length=1,
        max_length=20,
        description="The first rule whose conditions hold makes the event. Items that no rule "
        "takes are skipped: answered with 200, kept nowhere, counted.",
    )
