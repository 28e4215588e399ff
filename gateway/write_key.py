"""Where the SDKs put the write key, in the order in which the places count."""

import base64
import binascii
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

from gateway.routing import Family
from services.kit.problems import MalformedBody
from services.kit.wrapping import unwrap

Place = Literal["basic", "bearer", "header", "path", "query", "body"]
_IN_QUERY: dict[Family, tuple[str, ...]] = {
    "segment": ("writeKey", "writekey"),
    "jitsu": ("writeKey", "writekey", "token"),
    "posthog": ("writeKey", "writekey", "api_key", "token"),
    "cloudevents": ("writeKey", "writekey"),
    "webhook": ("writeKey", "writekey"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A write key as presented, and where it stood."""

    key: str
    place: Place


class _Item(msgspec.Struct):
    write_key: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw, name="writeKey")


class _Body(msgspec.Struct):
    write_key: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw, name="writeKey")
    batch: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class _Keyed(msgspec.Struct):
    """Left undecoded but for what is needed: a stranger's body must cost little."""

    api_key: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    token: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    properties: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    batch: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_body = msgspec.json.Decoder(_Body)
_items = msgspec.json.Decoder(list[msgspec.Raw])
_item = msgspec.json.Decoder(_Item)
_text = msgspec.json.Decoder(str)
_keyed = msgspec.json.Decoder(_Keyed)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def outside_body(
    headers: dict[bytes, bytes], query: bytes, family: Family = "segment"
) -> Found | None:
    """The key in the headers or the query; None if the body has to be read for it."""
    scheme, _, credentials = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    scheme = scheme.lower()
    if scheme == "basic" and (user := _basic_user(credentials.strip())):
        return Found(user, "basic")
    # With OAuth the token is the client's and the body says which source it is.
    if scheme == "bearer" and credentials.strip():
        return None
    if header := headers.get(b"x-write-key", b"").decode("latin-1").strip():
        return Found(header, "header")
    for name, value in parse_qsl(query.decode("latin-1")):
        if name in _IN_QUERY[family] and value:
            return Found(value, "query")
    return None


def in_body(text: bytes, family: Family = "segment") -> str | None:
    """The key where clients of ``family`` put it; for Segment's: ``writeKey`` of the body, else of
    the first event of its batch.

    Raises ``MalformedBody`` where the body is no JSON object.
    """
    if family in ("cloudevents", "webhook"):
        # Somebody else's data: what looks like a key in it is none.
        return None
    if family != "segment":
        return _in_events(text)
    try:
        body = _body.decode(text)
    except _UNREADABLE as error:
        raise MalformedBody(f"The body is not a JSON object in UTF-8: {error}") from error
    key = _string(body.write_key)
    if key:
        return key
    try:
        first = _items.decode(body.batch)[:1]
        return _string(_item.decode(first[0]).write_key) if first else None
    except _UNREADABLE:
        return None


def _in_events(text: bytes) -> str | None:
    """PostHog's and old Jitsu's clients: ``api_key`` or ``token`` of the body or of the first
    event, which may be alone, in a list, or in the ``batch`` of an object."""
    body = unwrap(text).lstrip()
    try:
        if body[:1] == b"[":
            body = next(iter(_items.decode(body)), b"{}")
        outer = _keyed.decode(body)
    except _UNREADABLE as error:
        raise MalformedBody(f"The body is not JSON of events: {error}") from error
    if key := _of(outer):
        return key
    try:
        first = _items.decode(outer.batch)[:1]
        return _of(_keyed.decode(first[0])) if first else None
    except _UNREADABLE:
        return None


def _of(item: _Keyed) -> str | None:
    try:
        inner = _keyed.decode(item.properties).token
    except _UNREADABLE:
        inner = msgspec.Raw()
    return _string(item.api_key) or _string(item.token) or _string(inner)


def without_key(query: bytes) -> bytes:
    """The query as it travels on: the key has done its work and belongs in nobody's log."""
    if not query:
        return query
    kept = [part for part in query.split(b"&") if part.partition(b"=")[0] not in _KEY_NAMES]
    return b"&".join(kept)


_KEY_NAMES = {name.encode() for names in _IN_QUERY.values() for name in names}


def _string(raw: msgspec.Raw) -> str | None:
    """A JSON string's value; None for every other kind, as if the field were absent."""
    try:
        return _text.decode(raw).strip() or None
    except _UNREADABLE:
        return None


def _basic_user(credentials: str) -> str:
    try:
        decoded = base64.b64decode(credentials + "=" * (-len(credentials) % 4)).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
    # Some clients leave out the colon.
    return decoded.partition(":")[0].strip()
