"""What the loader asks PostgreSQL and ClickHouse about its blocks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.clickhouse import ClickHouse
from services.kit.postgres import SessionMaker
from services.tracking.loader.block import Entry
from services.tracking.log.port import events_partition
from services.tracking.log.store import LOADER, position
from services.tracking.tables import QuarantineRow

_PRESENT = """
SELECT log_offset, log_index FROM events
WHERE workspace_id = {workspace_id:UUID} AND block_id = {block_id:String}
"""


async def loaded_offset(maker: SessionMaker, workspace_id: UUID) -> int:
    """The log offset up to which ClickHouse holds a workspace's events."""
    async with maker.begin() as session:
        return await position(session, LOADER, events_partition(workspace_id))


async def present(
    clickhouse: ClickHouse, workspace_id: UUID, block_id: str
) -> set[tuple[int, int]]:
    """(log offset, index) of the rows of a block that ClickHouse holds.

    Its inserts bear the block's id as the id of their query, and so does this: while one that was
    given up still runs, a server refuses the question (code 216) rather than answer too early.
    """
    rows = await clickhouse.query_written(
        _PRESENT,
        {"workspace_id": workspace_id, "block_id": block_id},
        {"query_id": block_id},
    )
    return {(offset, index) for offset, index in rows}


async def quarantine(
    session: AsyncSession, workspace_id: UUID, refused: Sequence[tuple[Entry, str]]
) -> None:
    """Keeps entries that ClickHouse refused, with what it said."""
    rows = [
        {
            "workspace_id": workspace_id,
            "source_id": entry.event.source_id,
            "received_at": datetime.fromtimestamp(entry.event.received_at / 1000, UTC),
            "reason": "refused_by_store",
            "pointer": f"#/{entry.log_offset}/{entry.log_index}",
            "detail": detail.replace("\x00", "")[:1000],
            "raw": msgspec.json.encode(entry.event),
        }
        for entry, detail in refused
    ]
    await session.execute(insert(QuarantineRow), rows)
