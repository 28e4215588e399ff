"""Sources' webhooks on the wire."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from services.contracts.events import EventType
from services.tracking.webhooks.mapping_model import PAYMENTS, SHOP, HeaderName, MappingDocument
from services.tracking.webhooks.signature import Signature

SecretName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


def _bounded(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not 8 <= len(text) <= 500 or "\x00" in text or not text.isprintable():
        raise ValueError("A secret has 8 to 500 printable characters.")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_bounded)]
_SHOP: dict[str, Any] = {
    "signature": {
        "scheme": "hmac",
        "header": "X-Shopify-Hmac-SHA256",
        "algorithm": "sha256",
        "encoding": "base64",
    },
    "secrets": {"2026-11": "(the shop's secret)"},
    "mapping": SHOP,
}
_PAYMENTS: dict[str, Any] = {
    "signature": {"scheme": "timestamped-hmac", "header": "Stripe-Signature"},
    "secrets": {"endpoint": "whsec_(what the provider shows)"},
    "mapping": PAYMENTS,
}
_SIGNATURE = Field(
    description="How the partner signs. `none` has to be said: then the write key alone lets in."
)


class WebhookPut(BaseModel):
    """A source's webhook: signature, secrets and mapping."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_SHOP, _PAYMENTS]})

    signature: Signature = _SIGNATURE
    secrets: dict[SecretName, Secret | None] | None = Field(
        None,
        max_length=5,
        description="By a name of your own. Any of them may have signed, so a secret is rotated by "
        "adding the new one, changing it at the partner's, and leaving the old one out. null keeps "
        "the secret stored under this name; names left out are removed; without `secrets` all stay "
        "as they are. They are never shown again.",
    )
    mapping: MappingDocument


class SecretSet(BaseModel):
    """A secret is there; what it is stays unsaid."""

    name: str
    set_at: datetime


class SourceWebhook(BaseModel):
    """What partners post to `/v1/webhooks` with a write key of this source is read by this."""

    source_id: str
    signature: Signature = _SIGNATURE
    secrets: list[SecretSet]
    mapping: MappingDocument
    changed_at: datetime


HeaderValue = Annotated[str, StringConstraints(max_length=4000, pattern=r"^[\x20-\x7e\x80-\xff]*$")]
_TEST: dict[str, Any] = {
    "body": {
        "id": 8209829119461,
        "created_at": "2026-11-25T08:30:00Z",
        "total_price": "409.94",
        "currency": "CNY",
        "email": "mei@example.org",
        "customer": {"id": 1153106273147},
    },
    "headers": {"X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": "b54557e4"},
    "mapping": SHOP,
}


class WebhookTest(BaseModel):
    """A sample as the partner would post it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_TEST]})

    body: str | dict[str, Any] | list[Any] = Field(
        description="JSON, or the exact text of it: a signature is checked over the bytes."
    )
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, max_length=100)
    mapping: MappingDocument | None = Field(
        None,
        description="Tried in place of the stored one, which stays as it is. Needed while the "
        "source has no webhook.",
    )


class SignatureTest(BaseModel):
    accepted: bool
    detail: str = Field(examples=["The header x-shopify-hmac-sha256 is needed."])


class MappedEvent(BaseModel):
    """An event as it would be stored."""

    type: EventType
    event: str = Field(description="The name by which rules, journeys and queries know it.")
    message_id: str
    user_id: str
    anonymous_id: str
    previous_id: str
    group_id: str
    identifiers: list[tuple[str, str]] = Field(
        description="Namespace and normalised value, the one that counts most first."
    )
    occurred_at: datetime
    time_source: str
    properties: dict[str, Any]
    traits: dict[str, Any]
    context: dict[str, Any]


class RefusedItem(BaseModel):
    """An item that would go to quarantine."""

    reason: str = Field(examples=["not_mapped"])
    pointer: str = Field(
        description="JSON pointer into the sample.", examples=["#/events/0/customer/id"]
    )
    mapping: str | None = Field(
        description="JSON pointer to the line of the mapping that could not be followed; null "
        "where ingestion or the tracking plan refuses the event it makes.",
        examples=["#/rules/0/user_id"],
    )
    detail: str


class WebhookTested(BaseModel):
    """What would become of the sample. Nothing of it was stored."""

    signature: SignatureTest
    events: list[MappedEvent]
    refused: list[RefusedItem]
    skipped: int = Field(description="Items that no rule takes.")
