"""How far every reader of the log is: what other services report, and the lag of all."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking import metrics
from services.tracking.identity.store import FOLLOWER, PUSHER
from services.tracking.log.port import Log, is_outcomes
from services.tracking.log.store import LOADER, SEQUENCER
from services.tracking.tables import LogReaderRow

_WRITE_SECONDS = 1.0
OWN = (SEQUENCER, LOADER)
# They keep their positions in profile's feed in the same table.
_OTHER_FEEDS = (FOLLOWER, PUSHER)


class ReaderLag(BaseModel):
    reader: str = Field(examples=["loader"])
    position: int = Field(description="Offset of the last log row this reader is done with.")
    lag_rows: int = Field(
        ge=0, description="Rows (of one request each) that it has not read, those not yet readable"
        " included."
    )  # fmt: skip
    waiting_since: datetime | None = Field(
        description="When the oldest row it is not done with was accepted; null without lag."
    )


class PartitionLag(BaseModel):
    partition: str
    kind: str = Field(description="`events`, or `outcomes`: what journeys did.")
    end: int = Field(description="Offset of the newest row.")
    readers: list[ReaderLag]


class LogLag(BaseModel):
    partitions: list[PartitionLag]


class Readers:
    """Positions that other services tell with each poll; written once a second."""

    def __init__(self, maker: SessionMaker, awaited: Collection[str]) -> None:
        """``awaited``: readers that every partition of events has, even before their first poll."""
        self._maker = maker
        self.awaited = tuple(awaited)
        self._told: dict[tuple[str, str], int] = {}

    def note(self, reader: str, partition: str, position: int, end: int) -> None:
        """``reader`` is done with everything up to ``position``. It may go back: a service that was
        set up anew reads from the start."""
        self._told[reader, partition] = position
        metrics.READER_LAG.labels(reader, partition).set(max(0, end - position))

    async def run(self) -> None:
        while True:
            await self.write()
            await asyncio.sleep(_WRITE_SECONDS)

    async def write(self) -> None:
        told = dict(self._told)
        if not told:
            return
        values = [
            {"reader": reader, "partition": partition, "position": position}
            for (reader, partition), position in told.items()
        ]
        statement = postgresql.insert(LogReaderRow)
        statement = statement.on_conflict_do_update(
            index_elements=[LogReaderRow.reader, LogReaderRow.partition],
            set_={"position": statement.excluded.position},
            where=LogReaderRow.position != statement.excluded.position,
        )
        async with self._maker.begin() as session:
            await session.execute(statement, values)
        # What was told meanwhile stays for the next time.
        for each, position in told.items():
            if self._told.get(each) == position:
                del self._told[each]

    async def positions(self, session: AsyncSession, partition: str) -> dict[str, int]:
        """Every reader's position in a partition. Own and awaited readers are never missing."""
        statement = select(LogReaderRow.reader, LogReaderRow.position).where(
            LogReaderRow.partition == partition, ~LogReaderRow.reader.in_(_OTHER_FEEDS)
        )
        found = dict.fromkeys(OWN, 0)
        if not is_outcomes(partition):
            found |= dict.fromkeys(self.awaited, 0)
        stored = await session.execute(statement)
        return found | {row.reader: row.position for row in stored}


async def lag(maker: SessionMaker, events: Log, readers: Readers, workspace_id: UUID) -> LogLag:
    """Of the workspace's partitions."""
    ends = await events.ends(workspace_id)
    async with workspace_tx(maker, workspace_id) as session:
        positions = {name: await readers.positions(session, name) for name in ends}
    found = []
    for name, end in sorted(ends.items()):
        waiting = await _appended_after(events, name, end, set(positions[name].values()))
        behind = [
            ReaderLag(
                reader=reader,
                position=position,
                lag_rows=max(0, end - position),
                waiting_since=waiting.get(position),
            )
            for reader, position in sorted(positions[name].items())
        ]
        kind = "outcomes" if is_outcomes(name) else "events"
        found.append(PartitionLag(partition=name, kind=kind, end=end, readers=behind))
    return LogLag(partitions=found)


async def _appended_after(
    events: Log, partition: str, end: int, positions: Collection[int]
) -> dict[int, datetime]:
    """When the row behind each position was appended, where there is one. What is in the log no
    more is at least as old as the first row that is."""
    found = {}
    for position in positions:
        if position < end:
            at_ms = await events.appended_at_ms(partition, position + 1)
            if at_ms is None:
                first = await events.read(partition, position, end, rows=1, size=0)
                at_ms = first[0].at if first else None
            if at_ms is not None:
                found[position] = datetime.fromtimestamp(at_ms / 1000, UTC)
    return found
