"""Queries of image requests → Segment's calls. Pure."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from services.kit.problems import MalformedBody
from services.kit.wrapping import unwrap_field

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One transparent point."""

Read = Callable[[str], dict[str, Any]]
CALLS = ("track", "identify", "page", "screen", "group", "alias")
_MAX_FIELDS = 200
_OBJECTS = ("properties", "traits", "context")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def from_data(query: str) -> dict[str, Any]:
    """Segment's pixel: the whole call as JSON or base64 in ``data``; ``MalformedBody`` else."""
    fields = _fields(query)
    call = _object(unwrap_field(fields.get("data", "")))
    if key := fields.get("writeKey"):
        call.setdefault("writeKey", key)
    return call


def from_fields(query: str) -> dict[str, Any]:
    """RudderStack's pixel: a field of the call per parameter, dots for what lies inside."""
    call: dict[str, Any] = {"channel": "web"}
    for name, value in _fields(query).items():
        if name in _OBJECTS:
            call[name] = _object(value.encode())
        else:
            _put(call, name.split("."), value)
    return call


def add_user_agent(call: dict[str, Any], user_agent: str | None) -> None:
    """The request's own user agent, where the call's context names none."""
    context = call.get("context")
    if user_agent and (context is None or isinstance(context, dict)):
        call["context"] = {"userAgent": user_agent, **(context or {})}


def _put(call: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        inner = call.setdefault(part, {})
        if not isinstance(inner, dict):
            raise MalformedBody("A parameter lies inside of another that is a text.")
        call = inner
    call[path[-1]] = value


def _fields(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise MalformedBody(f"At most {_MAX_FIELDS} parameters are accepted.") from error


def _object(text: bytes) -> dict[str, Any]:
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"Not a JSON object: {error}") from error
