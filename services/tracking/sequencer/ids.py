"""Which message ids were seen before: the port, and its PostgreSQL implementation.

A key is 16 bytes, the hash of (workspace, source, message id). The store can be rebuilt from the
log (``Sequencer.rebuild_if_lost``), so losing it loses nothing that the log still holds.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from services.tracking.tables import SeenIdRow

KEEP_WEEKS = 6
"""Ids of the running week and six before it: always more than 30 days."""
WEEK_SECONDS = 7 * 24 * 3600


def key(workspace_id: UUID, source_id: str, message_id: str) -> bytes:
    said = f"{workspace_id}\x00{source_id}\x00{message_id}"
    return hashlib.blake2b(said.encode(), digest_size=16).digest()


class SeenIds(Protocol):
    async def claim(
        self, session: AsyncSession, keys: Sequence[bytes], at_seconds: float
    ) -> set[bytes]:
        """Remembers ``keys`` (no repeats) and returns those that were not known before.

        Belongs to the session's transaction: what is rolled back was never claimed.
        """

    async def is_empty(self, session: AsyncSession) -> bool: ...


class PostgresSeenIds:
    """Weekly partitions of a table of hashes; old weeks are dropped whole."""

    async def claim(
        self, session: AsyncSession, keys: Sequence[bytes], at_seconds: float
    ) -> set[bytes]:
        week = int(at_seconds // WEEK_SECONDS)
        # Every time: a partition made in a transaction that is rolled back is gone again.
        await session.execute(_PREPARE, {"week": week, "keep": KEEP_WEEKS})
        given = list(keys)
        known = set(await session.scalars(_KNOWN, {"ids": given}))
        new = [each for each in given if each not in known] if known else given
        if new:
            await session.execute(_ADD, {"ids": new, "week": week})
        return set(new)

    async def is_empty(self, session: AsyncSession) -> bool:
        return await session.scalar(select(SeenIdRow.week).limit(1)) is None


_PREPARE = text("SELECT seen_id_prepare(:week, :keep)")
_IDS = bindparam("ids", type_=ARRAY(LargeBinary))
# = ANY(array) always goes through the index of each week; a join might scan 30 million rows.
_KNOWN = select(SeenIdRow.id).where(SeenIdRow.id == text("ANY(:ids)").bindparams(_IDS))
_ADD = text("INSERT INTO seen_id (id, week) SELECT unnest(:ids), :week").bindparams(_IDS)
