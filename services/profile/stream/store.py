"""SQL of the consumer's place in the log, which is also the lock all writers take."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from services.contracts.events import Event
from services.kit import feeds
from services.profile.stream.tables import ConsumerRow, QuarantineRow

_LEASE = text("SELECT pg_try_advisory_lock(hashtextextended('profile-consumer:' || :partition, 0))")


@dataclass(frozen=True, slots=True)
class Place:
    """Last offset of the log that is applied, and the revision of the registered rules."""

    log_offset: int
    rules_revision: int


async def lock(session: AsyncSession, workspace_id: UUID) -> Place:
    """Take the workspace's write lock until the transaction ends, making its row if need be."""
    place = await _locked(session, workspace_id)
    if place is None:
        row = {"partition": str(workspace_id), "workspace_id": workspace_id}
        await session.execute(insert(ConsumerRow).values(row).on_conflict_do_nothing())
        place = await _locked(session, workspace_id)
        assert place is not None
    return place


async def _locked(session: AsyncSession, workspace_id: UUID) -> Place | None:
    statement = (
        select(ConsumerRow.log_offset, ConsumerRow.rules_revision)
        .where(ConsumerRow.partition == str(workspace_id))
        .with_for_update()
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Place(row.log_offset, row.rules_revision)


async def place(session: AsyncSession, workspace_id: UUID) -> Place:
    """The place without the lock; the start of the log for a workspace not seen before."""
    statement = select(ConsumerRow.log_offset, ConsumerRow.rules_revision).where(
        ConsumerRow.partition == str(workspace_id)
    )
    row = (await session.execute(statement)).one_or_none()
    return Place(0, 0) if row is None else Place(row.log_offset, row.rules_revision)


async def advance(session: AsyncSession, workspace_id: UUID, log_offset: int) -> None:
    await session.execute(
        update(ConsumerRow)
        .where(ConsumerRow.partition == str(workspace_id))
        .values(log_offset=log_offset)
    )


async def revise_rules(session: AsyncSession, workspace_id: UUID) -> None:
    """Tell everybody who holds the rules in memory that they changed."""
    await session.execute(
        update(ConsumerRow)
        .where(ConsumerRow.partition == str(workspace_id))
        .values(rules_revision=ConsumerRow.rules_revision + 1)
    )


async def quarantine(
    session: AsyncSession, workspace_id: UUID, events: Sequence[tuple[int, Event]], reason: str
) -> None:
    """Keep events (with their places in the log) that could not be applied."""
    for seq, event in events:
        await session.execute(
            insert(QuarantineRow).values(
                workspace_id=workspace_id,
                seq=seq,
                message_id=event.message_id,
                reason=reason,
                event=feeds.pack([event]),
                at=func.now(),
            )
        )


async def lease(connection: AsyncConnection, partition: str) -> bool:
    """Whether this connection holds the partition; the lease ends with the connection."""
    return bool((await connection.execute(_LEASE, {"partition": partition})).scalar_one())
