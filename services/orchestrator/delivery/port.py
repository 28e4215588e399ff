"""The port that channels stand behind: what a kind of channel says of itself, and how it sends.

A new kind is one file in `kinds`, one line in `registry.py` and one table of test cases.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

import httpx2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from services.contracts.profile import ProfileFacts
from services.kit.feeds import Bell
from services.orchestrator.channels.store import Target
from services.orchestrator.delivery.callbacks import Callbacks
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed

HandOver = Callable[[Claimed], Awaitable[bool]]
"""Marks the message as handed over; False when the lease is lost."""

Address = Callable[[ProfileFacts, Mapping[str, Any]], str | None]
"""The contact point of a person, given the channel's public configuration."""

Model = type[BaseModel]

Content = Literal["mail", "text", "push", "provider_template", "payload"]
"""What a message through the channel is made of: `mail` of subject, text and html; `push` of
subject and text; `provider_template` of a template kept by the provider and its variables."""


def _printable(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not (value.isascii() and value.isprintable() and value):
        raise ValueError("a key holds printable ASCII characters")
    return secret


Key = Annotated[SecretStr, Field(max_length=1_000), AfterValidator(_printable)]
"""A secret that may stand in a header."""


class Strict(BaseModel):
    """The base of configurations and secrets: a field nobody reads is refused."""

    model_config = ConfigDict(extra="forbid")


class MailFrom(Strict):
    """Who mails come from."""

    from_address: str = Field(
        max_length=254, pattern=r"^[^@\s<>\",;:]+@[A-Za-z0-9.-]+$", examples=["news@example.com"]
    )
    from_name: str | None = Field(None, max_length=200, pattern=r"^[^\r\n]*$")
    track_opens: bool | None = Field(
        None,
        description="Put a pixel into html mails, whose loading counts as an open. Where it is not "
        "said: in marketing only.",
    )
    track_clicks: bool | None = Field(
        None,
        description="Lead the links of mails through this platform, so that clicks are counted; "
        "links to unsubscribe and to preferences are left alone. Where it is not said: in "
        "marketing only.",
    )


class App(Strict):
    """Of pushes: which devices of a person they go to."""

    app: str = Field(
        "default",
        max_length=200,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="The `app` of the devices it reaches: of each person the one seen last.",
    )


@dataclass(frozen=True, slots=True)
class Tools:
    """What every kind may use. The client refuses private addresses unless settings allow them."""

    client: httpx2.AsyncClient
    smtp_concurrency: int = 8
    callback_url: Callable[[UUID, UUID], str] | None = None
    """Where a channel's provider says what became of messages, by workspace and channel; None where
    nobody outside reaches us."""
    inbox: Bell = field(default_factory=Bell)
    """Rings for whoever follows an inbox."""
    allow_private: bool = False
    """What the client does about private addresses, for kinds that judge an address themselves."""


class Way(Protocol):
    """One configured channel, open as long as its settings stay: connections and tokens are
    kept between messages."""

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        """Calls ``hand_over`` right before the provider; ``now`` in ms. Never raises for what the
        provider does or does not do; database errors of ``hand_over`` go through."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of channel."""

    type: str
    medium: str
    """The channel that consents name: `email`, `sms`, `push`, `wechat` …; kinds share it."""
    summary: str
    config: Model
    """Fields that everybody may see."""
    secrets: Model
    """Fields that are never shown again, all of `SecretStr`."""
    content: Content
    open: Callable[[Target, Tools], Way]
    address: Address | None = None
    """None: the channel's own address, or a device."""
    device: str | None = None
    """The kind of device it reaches, instead of an address."""
    idempotent: bool = False
    """The provider honours a key: a message whose answer was lost is sent again under the same
    one, where it would be `unknown` otherwise."""
    max_attempts: int = 12
    """Tries after which what is temporary counts as failed; rate limits use up none."""
    callbacks: Callbacks | None = None
    """How what the provider says afterwards is verified and read."""


def latest(namespace: str) -> Address:
    """The person's latest identifier in a namespace."""
    return lambda facts, _: next(iter(facts.identifiers.get(namespace, ())), None)


def latest_of(field: str) -> Address:
    """The same, the namespace being in a field of the channel's configuration."""
    return lambda facts, config: next(iter(facts.identifiers.get(config[field], ())), None)
