"""Channels as the API shows and takes them: a model per kind, made from the registry of kinds."""

from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from services.orchestrator.delivery.port import Kind
from services.orchestrator.delivery.registry import KINDS


class CreateBase(BaseModel):
    """What a new channel of any kind is given."""

    model_config = ConfigDict(extra="forbid")

    type: str
    name: str = Field(min_length=1, max_length=200, examples=["Marketing mail"])
    sink: bool = Field(
        False,
        description="Set it where nobody reads what is sent, such as a local SMTP sink: only such "
        "channels may deliver replays.",
    )


class ChannelBase(BaseModel):
    """What may be shown of a channel of any kind."""

    id: UUID
    type: str
    name: str
    sink: bool
    callback_url: str | None = Field(
        None,
        description="Where the provider says what became of messages: give it this address, and "
        "the channel the secret it signs with. Null where this kind of channel is told nothing.",
        examples=["https://cx.example.org/v1/callbacks/ksQQ…"],
    )
    created_at: datetime
    updated_at: datetime


def _named(kind: Kind, suffix: str) -> str:
    return "".join(part.capitalize() for part in kind.type.split("_")) + suffix


def _model(kind: Kind, suffix: str, *bases: type[BaseModel]) -> Any:
    tag: Any = (Literal[kind.type], ...)
    return create_model(_named(kind, suffix), __base__=bases, __doc__=kind.summary, type=tag)


def _union(models: list[Any]) -> Any:
    return Annotated[reduce(or_, models), Field(discriminator="type")]


if TYPE_CHECKING:
    ChannelCreate = CreateBase
    Channel = ChannelBase
else:
    ChannelCreate = _union(
        [_model(kind, "Create", CreateBase, kind.secrets, kind.config) for kind in KINDS.values()]
    )
    Channel = _union([_model(kind, "Channel", ChannelBase, kind.config) for kind in KINDS.values()])

_CHANNEL: TypeAdapter[ChannelBase] = TypeAdapter(Channel)


def channel(row: Any, callback_url: str) -> ChannelBase:
    """What may be shown of a stored channel. ``callback_url``: where its kind is told anything."""
    told = KINDS[row.type].callbacks is not None
    values = {**row.config, **row._mapping, "callback_url": callback_url if told else None}
    return _CHANNEL.validate_python({k: v for k, v in values.items() if k != "config"})


def stored(body: CreateBase) -> dict[str, Any]:
    """The columns of a channel."""
    kind = KINDS[body.type]
    secret = {
        name: value.get_secret_value()
        for name in kind.secrets.model_fields
        if (value := getattr(body, name)) is not None
    }
    return {
        "type": body.type,
        "name": body.name,
        "sink": body.sink,
        "config": body.model_dump(mode="json", include=set(kind.config.model_fields)),
        "secrets": secret,
    }
