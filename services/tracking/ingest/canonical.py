"""Canonical JSON objects: what every store behind the log can hold, as compact text. Pure.

The checks run on the encoded text first, which costs a fraction of walking the value; only texts
that could break a rule are walked.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

MAX_DEPTH = 32
MAX_KEYS = 512
MIN_INT, MAX_INT = -(2**63), 2**64 - 1

_encode = msgspec.json.Encoder().encode
_encode_64_bits = msgspec.msgpack.Encoder().encode
_DOTTED_KEY = re.compile(r'\.[^"]*":')
_DEEP_LENGTH = 2 * MAX_DEPTH
"""A text that is nested deeper is longer, by its brackets alone."""
_MANY_KEYS_LENGTH = len('"":0,') * MAX_KEYS
_Place = tuple[dict[str, Any], str, int]


class NotCanonical(ValueError):
    """``reason`` is a stable word, ``pointer`` the place inside the object."""

    def __init__(self, reason: str, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.pointer = pointer
        self.detail = detail


def canonical(value: dict[str, Any] | None) -> str:
    """Compact JSON text of an object as decoded (so keys are unique already).

    Refuses U+0000, more than ``MAX_DEPTH`` levels and more than ``MAX_KEYS`` keys. Of keys that
    mean the same path (``{"a": {"b": 1}, "a.b": 2}``) the nested one stays. Integers beyond 64 bits
    become the nearest double, which is all that JavaScript could have meant.
    """
    if not value:
        return "{}"
    try:
        text = _encode(value).decode()
        if _is_canonical(text, value):
            return text
        # A copy, to be changed: the value may be remembered for other events.
        own: dict[str, Any] = msgspec.json.decode(text)
    except RecursionError as error:
        raise NotCanonical("too_deep", "", f"Nested deeper than {MAX_DEPTH} levels.") from error
    _check(own)
    _resolve_dotted(own)
    return _encode(own).decode()


def _is_canonical(text: str, value: dict[str, Any]) -> bool:
    """Cheap questions first; the answer is nearly always yes."""
    if "\\" in text and ("\\u0000" in text or ('\\"' in text and "." in text)):
        # An escaped quote could hide a key's end from the expression for dotted keys.
        return False
    if "." in text and _DOTTED_KEY.search(text) is not None:
        return False
    size = len(text)
    if size > _DEEP_LENGTH and text.count("{") + text.count("[") > MAX_DEPTH:
        return False
    if size > _MANY_KEYS_LENGTH and text.count('":') > MAX_KEYS:
        return False
    try:
        # MessagePack holds just the integers that stores hold.
        _encode_64_bits(value)
    except OverflowError:
        return False
    return True


def _check(value: dict[str, Any]) -> None:
    keys = 0
    stack: list[tuple[Any, int, str]] = [(value, 1, "")]
    while stack:
        item, depth, pointer = stack.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise NotCanonical("nul", pointer, "The character U+0000 is not accepted.")
        elif isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                raise NotCanonical("too_deep", "", f"Nested deeper than {MAX_DEPTH} levels.")
            _use_doubles(item, pointer)
            if isinstance(item, list):
                stack += [(inner, depth + 1, f"{pointer}/{i}") for i, inner in enumerate(item)]
                continue
            keys += len(item)
            if keys > MAX_KEYS:
                raise NotCanonical("too_many_keys", "", f"More than {MAX_KEYS} keys.")
            for key, inner in item.items():
                if "\x00" in key:
                    raise NotCanonical("nul", pointer, "U+0000 is not accepted in a key.")
                stack.append((inner, depth + 1, f"{pointer}/{key}"))


def _use_doubles(item: dict[str, Any] | list[Any], pointer: str) -> None:
    pairs: Iterable[tuple[Any, Any]] = item.items() if isinstance(item, dict) else enumerate(item)
    large = [(k, v) for k, v in pairs if type(v) is int and not MIN_INT <= v <= MAX_INT]
    for key, value in large:
        try:
            item[key] = float(value)
        except OverflowError as error:
            raise NotCanonical(
                "out_of_range", f"{pointer}/{key}", "The number is larger than a double can be."
            ) from error


def _resolve_dotted(value: dict[str, Any]) -> None:
    """Drops, of leaves whose dotted paths are equal, all but the one with the fewest dots in its
    keys (the first of equals). Lists are their own world: paths do not reach into them."""
    # What is dropped may leave an object empty, and an empty object is a leaf itself.
    while _drop_repeated(value):
        pass


def _drop_repeated(value: dict[str, Any]) -> bool:
    dropped = False
    places: dict[str, list[_Place]] = {}
    stack: list[tuple[dict[str, Any], str, int]] = [(value, "", 0)]
    while stack:
        item, prefix, dots = stack.pop()
        for key, inner in item.items():
            path, here = f"{prefix}{key}", dots + key.count(".")
            if isinstance(inner, dict) and inner:
                stack.append((inner, path + ".", here))
            else:
                places.setdefault(path, []).append((item, key, here))
            if isinstance(inner, list):
                _resolve_inside(inner)
    for same in places.values():
        if len(same) > 1:
            kept = min(same, key=lambda place: place[2])
            for place in same:
                if place is not kept:
                    del place[0][place[1]]
                    dropped = True
    return dropped


def _resolve_inside(items: list[Any]) -> None:
    for item in items:
        if isinstance(item, dict):
            _resolve_dotted(item)
        elif isinstance(item, list):
            _resolve_inside(item)
