"""CloudEvents 1.0 over HTTP: binary, structured and batched. Pure.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import base64
from typing import Any
from urllib.parse import unquote

import msgspec

from services.kit.problems import MalformedBody
from services.tracking.ingest.protocols.call import (
    Call,
    Calls,
    Sent,
    cut,
    given,
    text,
)
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import DECODE_ERRORS

_PREFIX = "ce-"
_REQUIRED = ("specversion", "id", "source", "type")
# What has a place of its own in a call; the others travel in the context.
_SAID = {"id", "type", "subject", "time", "data", "data_base64", "userid", "anonymousid"}
_VERSION = "1.0"
_UNSAID = "application/x-www-form-urlencoded"

_any = msgspec.json.Decoder()


def calls(sent: Sent) -> Calls:
    """``MalformedBody`` where the body is not what its mode asks for."""
    if any(name.startswith(_PREFIX) for name in sent.headers):
        return _binary(sent)
    return cut(sent.body).translated(_call)


def _binary(sent: Sent) -> Calls:
    attributes: dict[str, Any] = {
        name.removeprefix(_PREFIX): unquote(value)
        for name, value in sent.headers.items()
        if name.startswith(_PREFIX)
    }
    content_type = _content_type(sent.headers.get("content-type", ""))
    event = {**attributes, **given(datacontenttype=content_type), **_data(sent.body, content_type)}
    raw = msgspec.json.encode(event)
    try:
        return Calls([Call(raw, _call(event))], single=True)
    except Refused as refused:
        return Calls([Call(raw, refused)], single=True)


def _content_type(header: str) -> str:
    """Nothing for what HTTP clients (curl, urllib) write where their caller named none."""
    return "" if header.partition(";")[0].strip().lower() == _UNSAID else header


def _data(body: bytes, content_type: str) -> dict[str, Any]:
    """JSON where it is said to be, and where nothing is said and it is; else the text or bytes."""
    if not body:
        return {}
    kind = content_type.partition(";")[0].strip().lower()
    is_json = kind.endswith(("/json", "+json"))
    if is_json or not kind:
        try:
            return {"data": _any.decode(body)}
        except DECODE_ERRORS as error:
            if is_json:
                raise MalformedBody(f"The body is not strict JSON: {error}") from error
    try:
        return {"data": body.decode()}
    except UnicodeDecodeError:
        return {"data_base64": base64.b64encode(body).decode()}


def _call(event: dict[str, Any]) -> dict[str, Any]:
    for name in _REQUIRED:
        if not text(event.get(name)):
            raise Refused("invalid", f"/{name}", "CloudEvents need this attribute, as a text.")
    if event["specversion"] != _VERSION:
        raise Refused("invalid", "/specversion", f"Only version {_VERSION} is understood.")
    attributes = {name: value for name, value in event.items() if name not in _SAID}
    return {
        "type": "track",
        "event": event["type"],
        "messageId": event["id"],
        "userId": event.get("userid") or event.get("subject"),
        "anonymousId": event.get("anonymousid"),
        "timestamp": event.get("time"),
        "channel": "server",
        "properties": _properties(event),
        "context": {"cloudevent": attributes},
    }


def _properties(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("data")
    if isinstance(data, dict):
        return data
    return given(data=data, data_base64=event.get("data_base64"))
