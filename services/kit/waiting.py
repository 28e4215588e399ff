"""Waiting for an event or the end of a time, whichever comes first."""

import asyncio


async def came(event: asyncio.Event, seconds: float) -> bool:
    """Whether ``event`` was set within ``seconds``.

    Not ``wait_for``: before Python 3.12 it forgets a cancellation that comes together with the
    event, and what should have ended goes on, for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
