"""Places in JSON and the kinds of what stands there. Pure."""

import re
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

from services.tracking.webhooks.mapping_model import Kind

_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def resolve(value: Any, pointer: str) -> Any:
    """What stands at a JSON pointer (RFC 6901); None where nothing does."""
    for name in _names(pointer):
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdecimal() and len(name) < 10:
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


@lru_cache(maxsize=4096)
def _names(pointer: str) -> tuple[str, ...]:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def escape(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def as_string(found: Any) -> str | None:
    """Texts, numbers and truth values as text; None for other kinds."""
    if isinstance(found, str):
        return found
    if isinstance(found, float) and found.is_integer():
        # JavaScript has one kind of number: 12 and 12.0 are the same.
        return str(int(found))
    return msgspec.json.encode(found).decode() if isinstance(found, bool | int | float) else None


def as_number(found: Any) -> int | float | None:
    """Numbers, and texts that are one; None for everything else."""
    if isinstance(found, int | float) and not isinstance(found, bool):
        return found
    if not isinstance(found, str) or _NUMBER.fullmatch(found.strip()) is None:
        return None
    text = found.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    number = float(text)
    return number if isfinite(number) else None


def as_boolean(found: Any) -> bool | None:
    text = as_string(found)
    return None if text is None else _TRUTHS.get(text.strip().lower())


CONVERSIONS: dict[Kind, Callable[[Any], Any]] = {
    "string": as_string,
    "number": as_number,
    "boolean": as_boolean,
}
