"""What a message says to some kinds of channels only: `extras` of a message template. Pure."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.orchestrator.message_templates.render import MAX_SOURCE, check, render_text

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")]
Source = Annotated[str, Field(max_length=MAX_SOURCE)]


class Extras(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "provider_template": "SMS_154950909",
                    "data": {"code": "{{ event.properties.code }}"},
                }
            ]
        },
    )

    provider_template: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Id of the template that the provider keeps: `aliyun_sms`, `wechat_template` "
        "and `wechat_subscribe` send nothing else.",
    )
    data: dict[Name, Source] = Field(
        default_factory=dict,
        max_length=100,
        description="Liquid sources by name: the variables of the provider's template, or what an "
        "app gets with a push.",
    )
    url: Source | None = Field(
        None,
        description="Liquid source of where a push or a WeChat message leads; the page, for a "
        "mini program.",
    )


def _sources(extras: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, source in (extras.get("data") or {}).items():
        yield f"extras/data/{name}", source
    if extras.get("url"):
        yield "extras/url", extras["url"]


def check_extras(extras: Mapping[str, Any]) -> None:
    """Raises ``TemplateInvalid`` as ``check`` does."""
    for part, source in _sources(extras):
        check(part, source)


def render_extras(extras: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The extras with what their sources say; raises ``TemplateInvalid``."""
    said = {part: render_text(part, source, variables) for part, source in _sources(extras)}
    return {
        "provider_template": extras.get("provider_template"),
        "data": {name: said[f"extras/data/{name}"] for name in extras.get("data") or {}},
        "url": said.get("extras/url"),
    }
