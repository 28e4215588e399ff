"""Declared touchpoints in PostgreSQL, and traffic by source and event in ClickHouse."""

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.tracking import Channel
from services.kit.clickhouse import ClickHouse
from services.tracking.sources.store import Setting
from services.tracking.tables import TouchpointRow, TrackingPlanVersionRow
from services.tracking.touchpoints.coverage import Declared, Seen

_SEEN = files(__package__).joinpath("seen.sql").read_text()
MAX_SEEN = 10_000
"""Kinds of (source, event) that are looked at, the most frequent ones."""
MAX_DECLARED = 5_000

_COLUMNS = (
    TouchpointRow.id,
    TouchpointRow.name,
    TouchpointRow.channel,
    TouchpointRow.event,
    TouchpointRow.created_at,
)


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    touchpoint_id: UUID,
    name: str,
    channel: Channel,
    event: str | None,
) -> Declared:
    """The same id again gives the one that is there."""
    await session.execute(
        insert(TouchpointRow)
        .values(
            id=touchpoint_id,
            workspace_id=workspace_id,
            name=name,
            channel=channel,
            event=event,
            created_at=datetime.now(UTC),
        )
        .on_conflict_do_nothing()
    )
    statement = select(*_COLUMNS).where(TouchpointRow.id == touchpoint_id)
    return _declared((await session.execute(statement)).one())


async def remove(session: AsyncSession, touchpoint_id: UUID) -> bool:
    statement = delete(TouchpointRow).where(TouchpointRow.id == touchpoint_id)
    found = await session.execute(statement.returning(TouchpointRow.id))
    return found.one_or_none() is not None


async def count(session: AsyncSession) -> int:
    return (await session.execute(select(func.count()).select_from(TouchpointRow))).scalar_one()


async def declared(session: AsyncSession) -> list[Declared]:
    statement = select(*_COLUMNS).order_by(TouchpointRow.id)
    return [_declared(row) for row in await session.execute(statement)]


async def documents(
    session: AsyncSession, settings: Iterable[Setting]
) -> dict[tuple[UUID, int], dict[str, Any]]:
    """Of the plan versions that sources run."""
    row = TrackingPlanVersionRow
    wanted = {(s.plan_id, s.version) for s in settings if s.plan_id is not None}
    if not wanted:
        return {}
    statement = select(row.plan_id, row.version, row.document).where(
        tuple_(row.plan_id, row.version).in_(wanted)
    )
    return {(plan, version): said for plan, version, said in await session.execute(statement)}


async def seen(clickhouse: ClickHouse, workspace_id: UUID, since: datetime) -> list[Seen]:
    """What was received since, by source and event."""
    rows = await clickhouse.query(
        _SEEN,
        {
            "workspace_id": workspace_id,
            "since_ms": int(since.timestamp() * 1000),
            "limit": MAX_SEEN,
        },
    )
    return [
        Seen(source, event, total, _at(first), _at(last), broken, checked)
        for source, event, total, first, last, broken, checked in rows
    ]


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _declared(row: Any) -> Declared:
    return Declared(*row)
