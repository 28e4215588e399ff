"""How large and how deep a JSON value is. Pure.

The size has to be the same before and after PostgreSQL, which writes numbers its own way: a number
counts 4 bytes however it is written, a text its UTF-8 and two quotes.
"""

from typing import Any

MAX_VALUE_BYTES = 8 * 1024
MAX_DEPTH = 8
_SCALAR = 4
_WIDEST = 4
"""Bytes of the longest character in UTF-8."""


def size(value: Any) -> int:
    """Bytes of a value, about those of its JSON text."""
    total, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            total += len(item.encode()) + 2
        elif isinstance(item, dict):
            total += 2 + 2 * len(item)
            stack += item.keys()
            stack += item.values()
        elif isinstance(item, list):
            total += 2 + len(item)
            stack += item
        else:
            total += _SCALAR
    return total


def at_most(value: Any) -> int:
    """A bound of ``size`` that takes no time for texts and numbers."""
    if isinstance(value, str):
        return _WIDEST * len(value) + 2
    return size(value) if isinstance(value, dict | list) else _SCALAR


def text_bound(length: int) -> int:
    """A bound of the size of what a JSON text of so many characters holds."""
    # No text holds more per character than digits and their commas (2.5) or the widest letters (4).
    return _WIDEST * length + _SCALAR


def may_exceed(text: str) -> bool:
    """Whether an object of this JSON text may hold a value that is too large or too deep."""
    if text_bound(len(text)) > MAX_VALUE_BYTES:
        return True
    # The outermost bracket is that of the object.
    return text.count("{") + text.count("[") > MAX_DEPTH + 1


def depth(value: Any) -> int:
    """Levels of objects and lists: 0 for a text or a number."""
    deepest, stack = 0, [(value, 1)]
    while stack:
        item, level = stack.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, level)
            inner = item.values() if isinstance(item, dict) else item
            stack += [(each, level + 1) for each in inner]
    return deepest
