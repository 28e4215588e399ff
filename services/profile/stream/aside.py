"""Work of a thread beside a transaction that goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def aside(work: Callable[[], T]) -> AsyncIterator[Awaitable[T]]:
    """``work`` is done in a thread while the block of this context goes on and awaits it at last.

    Where the block fails before, the thread ends by itself: ``work`` is pure.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        yield task
    finally:
        task.cancel()
