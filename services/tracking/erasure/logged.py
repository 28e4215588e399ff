"""SQL of the log rows that an erasure touches, and of what readers leave out of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select, text, tuple_
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from services.tracking.tables import ErasurePlaceRow, LogRow, LogVerdictRow

_WRITE = text("""
UPDATE log SET data = new.data
FROM unnest(CAST(:partitions AS text[]), CAST(:offsets AS bigint[]), CAST(:datas AS bytea[]))
  AS new(partition, "offset", data)
WHERE log.partition = new.partition AND log."offset" = new."offset"
""")
_DROP = text("""
INSERT INTO log_verdict (partition, "offset", workspace_id, "drop")
SELECT new.partition, new."offset", :workspace_id, new."drop"
FROM unnest(CAST(:partitions AS text[]), CAST(:offsets AS bigint[]), CAST(:drops AS bytea[]))
  AS new(partition, "offset", "drop")
ON CONFLICT (partition, "offset") DO UPDATE SET "drop" = excluded."drop"
""")


async def add_places(
    session: AsyncSession,
    workspace_id: UUID,
    erasure_id: UUID,
    partition: str,
    offsets: Collection[int],
) -> None:
    values = [
        {
            "erasure_id": erasure_id,
            "partition": partition,
            "offset": offset,
            "workspace_id": workspace_id,
        }
        for offset in offsets
    ]
    if values:
        await session.execute(postgresql.insert(ErasurePlaceRow).on_conflict_do_nothing(), values)


async def add_duplicates(
    session: AsyncSession, workspace_id: UUID, erasure_id: UUID, stops: Mapping[str, int]
) -> None:
    """Rows that hold entries no reader got: what a client sent twice is in them once more."""
    for partition, stop in stops.items():
        rows = select(LogVerdictRow.offset).where(
            LogVerdictRow.partition == partition, LogVerdictRow.offset <= stop
        )
        offsets = list(await session.scalars(rows))
        await add_places(session, workspace_id, erasure_id, partition, offsets)


@dataclass(frozen=True, slots=True)
class Held:
    """A log row that may hold events of the person."""

    partition: str
    offset: int
    data: bytes
    drop: bytes | None


async def places(
    session: AsyncSession, erasure_id: UUID, after: tuple[str, int], limit: int
) -> list[Held]:
    """The log rows of an erasure behind ``after`` (partition, offset), in that order."""
    place, log, verdict = ErasurePlaceRow, LogRow, LogVerdictRow
    same = (verdict.partition == log.partition) & (verdict.offset == log.offset)
    statement = (
        select(log.partition, log.offset, log.data, verdict.drop)
        .join(place, (place.partition == log.partition) & (place.offset == log.offset))
        .outerjoin(verdict, same)
        .where(
            place.erasure_id == erasure_id, tuple_(place.partition, place.offset) > tuple_(*after)
        )
        .order_by(place.partition, place.offset)
        .limit(limit)
    )
    return [Held(*row) for row in await session.execute(statement)]


@dataclass(frozen=True, slots=True)
class Written:
    """A log row's new bytes and bitmap."""

    partition: str
    offset: int
    data: bytes
    drop: bytes


async def rewrite(session: AsyncSession, workspace_id: UUID, rows: Sequence[Written]) -> None:
    values = {
        "partitions": [row.partition for row in rows],
        "offsets": [row.offset for row in rows],
        "datas": [row.data for row in rows],
    }
    if rows:
        await session.execute(_WRITE, values)
        await leave_out(session, workspace_id, rows)


async def leave_out(session: AsyncSession, workspace_id: UUID, rows: Sequence[Written]) -> None:
    """Sets the bitmaps of ``rows``; their bytes stay."""
    values = {
        "partitions": [row.partition for row in rows],
        "offsets": [row.offset for row in rows],
        "drops": [row.drop for row in rows],
        "workspace_id": workspace_id,
    }
    if rows:
        await session.execute(_DROP, values)


async def forget_places(session: AsyncSession, erasure_id: UUID) -> None:
    await session.execute(delete(ErasurePlaceRow).where(ErasurePlaceRow.erasure_id == erasure_id))
