"""A webhook's body → calls, or whatever of it has to be set aside. Pure."""

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from typing import Any

import msgspec

from services.kit.problems import MalformedBody
from services.tracking.ingest import split
from services.tracking.ingest.protocols.call import Call, Calls
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import DECODE_ERRORS, MAX_EVENTS, explain
from services.tracking.webhooks.mapping import Delivery, NotMapped, Skipped, said
from services.tracking.webhooks.mapping_model import MappingDocument

PROTOCOL = "webhook"
UNMAPPED = "no_mapping"
"""The reason of a row that holds a whole body, which came before its source had a mapping."""
MAX_KEPT_HEADER_BYTES = 8 * 1024
_NOT_KEPT = {"authorization", "cookie", "host", "content-length", "x-request-id", "x-key-place"}

_any = msgspec.json.Decoder()
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])


class Shared(msgspec.Struct, omit_defaults=True):
    """``Delivery`` as the quarantine keeps it."""

    headers: dict[str, str] = {}
    around: Any = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Mapped:
    """``skipped``: how many items the mapping does not want."""

    calls: Calls
    skipped: int = 0


_shared = msgspec.json.Decoder(Shared)


def mapped(document: MappingDocument, body: bytes, delivery: Delivery) -> Mapped:
    """Every item of ``body`` as the mapping says it; ``MalformedBody`` where it is no JSON."""
    if document.each is None:
        _readable(body)
        call = one(document, body, delivery, None)
        return Mapped(Calls([call] if call else [], single=True, shared=encode(delivery)), not call)
    try:
        items, around = _cut(body, document.each)
    except NotMapped as refused:
        return Mapped(Calls([Call(body, refused)], single=True, shared=encode(delivery)))
    delivery = Delivery(delivery.headers, around, delivery.id)
    found = [one(document, raw, delivery, n) for n, raw in enumerate(items[:MAX_EVENTS])]
    calls = [call for call in found if call is not None]
    surplus = [
        b"[%b]" % b",".join(items[start : start + MAX_EVENTS])
        for start in range(MAX_EVENTS, len(items), MAX_EVENTS)
    ]
    shared, list_at = encode(delivery), f"#{document.each}"
    return Mapped(
        Calls(calls, surplus=surplus, list_at=list_at, shared=shared), len(found) - len(calls)
    )


def one(
    document: MappingDocument, raw: bytes, delivery: Delivery, position: int | None
) -> Call | None:
    """One item; None where the mapping skips it."""
    try:
        return Call(raw, said(document, _any.decode(raw), delivery, position), position)
    except Skipped:
        return None
    except Refused as refused:
        return Call(raw, refused, position)
    except DECODE_ERRORS as error:
        place, detail = explain(error)
        return Call(raw, Refused("invalid", place, detail), position)


def unmapped(body: bytes, delivery: Delivery) -> Calls:
    """The whole body, to be kept until its source has a mapping; ``MalformedBody``."""
    _readable(body)
    detail = "The source has no webhook mapping yet; replay this once it has one."
    call = Call(body, Refused(UNMAPPED, "", detail))
    return Calls([call], single=True, shared=encode(delivery))


def delivered(headers: Dictionary[str, str], delivery_id: str) -> Delivery:
    """``headers`` in lower case. Those of our own and beyond ``MAX_KEPT_HEADER_BYTES`` are no part
    of it: it is kept beside every item that is refused."""
    kept: dict[str, str] = {}
    room = MAX_KEPT_HEADER_BYTES
    for name, value in headers.items():
        room -= len(name) + len(value)
        if name not in _NOT_KEPT and room >= 0:
            kept[name] = value
    return Delivery(kept, None, delivery_id)


def encode(delivery: Delivery) -> bytes:
    return msgspec.json.encode(Shared(dict(delivery.headers), delivery.around, delivery.id))


def decode(data: bytes) -> Delivery:
    """What ``encode`` wrote; nothing where it was lost."""
    try:
        shared = _shared.decode(data)
    except DECODE_ERRORS:
        shared = Shared()
    return Delivery(shared.headers, shared.around, shared.id)


def _readable(body: bytes) -> None:
    try:
        _any.decode(body)
    except DECODE_ERRORS as error:
        raise MalformedBody(f"The body is not strict JSON: {explain(error)[1]}") from error


def _cut(body: bytes, each: str) -> tuple[list[bytes], Any]:
    """The elements of the list at ``each``, undecoded, and the body without them.

    One element that is no strict JSON spoils none of the others.
    """
    parts = [part.replace("~1", "/").replace("~0", "~") for part in each.split("/")[1:]]
    try:
        return _walk(msgspec.Raw(body), parts)
    except (msgspec.ValidationError, KeyError) as error:
        _readable(body)
        where = each or "the top"
        raise NotMapped("#/each", each, f"There is no list at {where}.", UNMAPPED) from error
    except DECODE_ERRORS as error:
        items = _salvage(body, parts)
        if items is None:
            raise MalformedBody(f"The body is not strict JSON: {explain(error)[1]}") from error
        return items, None


def _walk(raw: msgspec.Raw, parts: list[str]) -> tuple[list[bytes], Any]:
    if not parts:
        return [bytes(item) for item in _list.decode(raw)], None
    members = _members.decode(raw)
    items, inner = _walk(members.pop(parts[0]), parts[1:])
    around = {name: _any.decode(value) for name, value in members.items()}
    return items, around if inner is None else {**around, parts[0]: inner}


def _salvage(body: bytes, parts: list[str]) -> list[bytes] | None:
    try:
        for part in parts:
            body = split.members(body)[part.encode()]
        return split.elements(body)
    except (split.NotSplittable, KeyError):
        return None
