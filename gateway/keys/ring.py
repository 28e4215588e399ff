"""Checks presented keys, remembering for a few seconds what the key store said."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import InvalidKey, KeyStoreUnavailable
from gateway.keys.secret import parse
from gateway.keys.store import KeyRecord

# A revoked key has to stop working within 5 s, the running look-up included.
REMEMBER_SECONDS = 3.0
LOOKUP_SECONDS = 1.5
_MOST_REMEMBERED = 10_000

Lookup = Callable[[UUID], Awaitable[KeyRecord | None]]
Clock = Callable[[], float]


class KeyRing:
    """``find`` costs a hash and a dictionary read while the key is remembered."""

    def __init__(self, lookup: Lookup, clock: Clock = time.monotonic) -> None:
        self._lookup = lookup
        self._clock = clock
        self._known: dict[UUID, tuple[float, KeyRecord]] = {}
        # Apart from the known ones, so that guessing keys cannot push real ones out.
        self._unknown: dict[UUID, float] = {}
        self._asking: dict[UUID, asyncio.Task[KeyRecord | None]] = {}

    async def find(self, text: str) -> KeyRecord:
        """The key; ``InvalidKey`` if it is known to be wrong, ``KeyStoreUnavailable`` if unsure."""
        key = parse(text)
        if key is None:
            raise InvalidKey("This is not a key of this platform.")
        record = await self._record(key.id)
        if (
            record is None
            or record.kind != key.kind
            or not compare_digest(record.secret_hash, key.digest)
        ):
            raise InvalidKey("The key is unknown or was revoked.")
        return record

    def forget(self, key_id: UUID) -> None:
        """The key was revoked through this process: stop at once."""
        self._known.pop(key_id, None)

    async def _record(self, key_id: UUID) -> KeyRecord | None:
        now = self._clock()
        known = self._known.get(key_id)
        if known is not None and known[0] > now:
            return known[1]
        if self._unknown.get(key_id, now) > now:
            return None
        # One question per key however many requests wait for it. Shielded: the others go on
        # waiting when the first client goes away.
        task = self._asking.get(key_id)
        if task is None:
            task = asyncio.create_task(self._ask(key_id))
            self._asking[key_id] = task
            task.add_done_callback(lambda _: self._asking.pop(key_id, None))
        return await asyncio.shield(task)

    async def _ask(self, key_id: UUID) -> KeyRecord | None:
        asked_at = self._clock()
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                record = await self._lookup(key_id)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise KeyStoreUnavailable from error
        until = asked_at + REMEMBER_SECONDS
        if record is None:
            self._known.pop(key_id, None)
            _make_room(self._unknown)
            self._unknown[key_id] = until
        else:
            _make_room(self._known)
            self._known[key_id] = (until, record)
        return record


def _make_room(remembered: dict[UUID, float] | dict[UUID, tuple[float, KeyRecord]]) -> None:
    if len(remembered) >= _MOST_REMEMBERED:
        remembered.clear()
