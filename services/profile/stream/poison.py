"""Finds the events of a block that PostgreSQL refuses, so that the others need not wait."""

from collections.abc import Awaitable, Callable

from sqlalchemy.exc import DBAPIError

from services.profile.stream.block import Block

# SQLSTATE classes that blame the data: data exception, program limit exceeded.
_OF_DATA = ("22", "54")


def is_poison(error: DBAPIError) -> bool:
    """Whether trying again is bound to fail: the fault lies in what is written."""
    return str(getattr(error.orig, "sqlstate", ""))[:2] in _OF_DATA


async def find(block: Block, works: Callable[[Block], Awaitable[bool]]) -> set[int]:
    """Places of the events for which ``works`` answers false, by halving what fails."""
    found: set[int] = set()
    parts = [(0, len(block.events))]
    while parts:
        start, end = parts.pop()
        if await works(block.part(start, end)):
            continue
        if end - start == 1:
            found.add(start)
            continue
        middle = (start + end) // 2
        parts += [(start, middle), (middle, end)]
    return found
