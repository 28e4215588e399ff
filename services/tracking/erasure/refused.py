"""Which refused events name a person; their bytes may be anything. Pure."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from services.identifiers import normalise, subject_id

# Of the standard library's decoder too: bad JSON and numbers of thousands of digits.
_DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Person:
    workspace_id: UUID
    subjects: Collection[UUID]
    needles: Collection[bytes]
    """Identifiers as they stand in JSON (``stored.needles``) in lower case, to look for where
    bytes are none."""


def cleaned(raw: bytes, origin: bytes | None, person: Person) -> bytes | None:
    """``raw`` without what names the person: itself, an array of what is left, or None.

    A row that holds many events is a JSON array (see ``ingest.accept.SURPLUS``).
    """
    if origin is not None and _names(origin, person):
        return None
    try:
        value = _read(raw)
    except _DECODE_ERRORS:
        return None if mentions(raw, person) else raw
    if not isinstance(value, list):
        return None if _is_named(value, person) else raw
    left = [item for item in value if not _is_named(item, person)]
    if len(left) == len(value):
        return raw
    return json.dumps(left).encode() if left else None


def mentions(data: bytes, person: Person) -> bool:
    """Whether an identifier stands anywhere in the bytes, in a text too."""
    lowered = data.lower()
    return any(needle in lowered for needle in person.needles)


def _names(data: bytes, person: Person) -> bool:
    try:
        return _is_named(_read(data), person)
    except _DECODE_ERRORS:
        return mentions(data, person)


def _read(data: bytes) -> Any:
    """What is no strict JSON is as a rule nearly one: NaN, half a surrogate, a raw line break."""
    try:
        return msgspec.json.decode(data)
    except _DECODE_ERRORS:
        return json.loads(data.decode(errors="replace"), strict=False)


def _is_named(value: Any, person: Person) -> bool:
    return any(
        subject_id(person.workspace_id, namespace, normalised) in person.subjects
        for namespace, normalised in _identifiers(value)
    )


def _identifiers(value: Any) -> Iterator[tuple[str, str]]:
    """Everything that could identify somebody: emails and phones anywhere, ids under keys that say
    so (``userId``, ``distinct_id``, ``id``): a 7 elsewhere is a number and not the user 7. External
    ids by their type, whatever policy knows it now."""
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        key, item = stack.pop()
        if isinstance(item, dict):
            stack += item.items()
            yield from _external(item.get("type"), item.get("id"))
        elif isinstance(item, list):
            stack += [(key, inner) for inner in item]
        elif isinstance(item, str | int) and not isinstance(item, bool):
            if isinstance(item, str):
                # Half a surrogate has no bytes to make a subject of.
                item = item.encode(errors="replace").decode()
            namespaces = ["user_id", "anonymous_id"] if key.lower().endswith("id") else []
            if isinstance(item, str):
                namespaces += ["email"] if "@" in item else []
                namespaces += ["phone"] if item.strip().startswith("+") else []
            for namespace in namespaces:
                if (found := normalise(namespace, item)) is not None:
                    yield namespace, found


def _external(kind: Any, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(kind, str) and isinstance(value, str | int):
        said = str(value).strip().encode(errors="replace").decode()
        namespace = kind.encode(errors="replace").decode()
        yield from ((namespace, said), (namespace, said.lower()))
