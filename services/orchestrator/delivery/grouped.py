"""Group commit inside the process: what comes while one write runs goes into the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Grouped(Generic[Item, Result]):
    """``write`` takes a batch and answers one result per item, in order.

    ``linger_seconds`` is waited for company where nobody is held up by it.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        linger_seconds: float = 0.0,
    ) -> None:
        self._write = write
        self._linger_seconds = linger_seconds
        self._pending: list[tuple[Item, asyncio.Future[Result]]] = []
        self._flush: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Result:
        """The item's result, once the write that holds it is done."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._pending.append((item, future))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._pending:
            if self._linger_seconds:
                await asyncio.sleep(self._linger_seconds)
            batch, self._pending = self._pending, []
            try:
                results = await self._write([item for item, _ in batch])
            except BaseException as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(_copy(error))
                if not isinstance(error, Exception):
                    raise
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _copy(error: BaseException) -> BaseException:
    # A future refuses StopIteration and shares tracebacks otherwise; cancellation becomes plain.
    return (
        ConnectionError("the write was cancelled")
        if isinstance(error, asyncio.CancelledError)
        else error
    )
