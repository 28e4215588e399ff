"""Waiting for a condition instead of for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_BETWEEN_LOOKS_S = 0.02


def until(look: Callable[[], T], *, within: float, what: str) -> T:
    """The first truthy value of `look`; fails the test after `within` seconds, naming `what`."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(_BETWEEN_LOOKS_S)
