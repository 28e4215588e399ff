"""Channels as the API shows and takes them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter

_NAME = Field(min_length=1, max_length=200, examples=["Marketing mail"])
_SINK = Field(
    False,
    description="Set it where nobody reads what is sent, such as a local SMTP sink: only such "
    "channels may deliver replays.",
)


class EmailConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9.:_-]+$",
        examples=["smtp.example.com"],
    )
    port: int = Field(ge=1, le=65_535, examples=[587])
    tls: Literal["none", "starttls", "tls"] = Field(
        "starttls", description="`none` sends in the clear: for sinks and relays on this machine."
    )
    username: str | None = Field(None, max_length=500)
    from_address: str = Field(
        max_length=254, pattern=r"^[^@\s<>\",;:]+@[A-Za-z0-9.-]+$", examples=["news@example.com"]
    )
    from_name: str | None = Field(None, max_length=200, pattern=r"^[^\r\n]*$")


class WebhookConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: AnyHttpUrl = Field(
        description="Loopback and private addresses are refused when the request is sent (reason "
        "`address_not_allowed`), unless `ORCHESTRATOR_ALLOW_PRIVATE_WEBHOOKS` is set.",
        examples=["https://partner.example/hooks/waymark"],
    )


class EmailCreate(EmailConfig):
    """Messages over SMTP."""

    type: Literal["email"]
    name: str = _NAME
    sink: bool = _SINK
    password: SecretStr | None = Field(None, max_length=1_000, description="Never shown again.")


class WebhookCreate(WebhookConfig):
    """Requests signed as Standard Webhooks says: `webhook-id`, `-timestamp`, `-signature`."""

    type: Literal["webhook"]
    name: str = _NAME
    sink: bool = _SINK
    secret: SecretStr = Field(
        description="`whsec_` and 24 to 64 random bytes in base64. Never shown again.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )


ChannelCreate = Annotated[EmailCreate | WebhookCreate, Field(discriminator="type")]


class EmailChannel(EmailConfig):
    id: UUID
    type: Literal["email"]
    name: str
    sink: bool
    created_at: datetime
    updated_at: datetime


class WebhookChannel(WebhookConfig):
    id: UUID
    type: Literal["webhook"]
    name: str
    sink: bool
    created_at: datetime
    updated_at: datetime


Channel = Annotated[EmailChannel | WebhookChannel, Field(discriminator="type")]
_CHANNEL: TypeAdapter[EmailChannel | WebhookChannel] = TypeAdapter(Channel)


def channel(row: Any) -> EmailChannel | WebhookChannel:
    """What may be shown of a stored channel."""
    values = {**row.config, **row._mapping}
    return _CHANNEL.validate_python({k: v for k, v in values.items() if k != "config"})
