"""Counts of people, of resolved events and of the quarantine."""

from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.clickhouse import ClickHouse
from services.tracking.tables import QuarantineRow

_PEOPLE = files(__package__).joinpath("people.sql").read_text()
_IDENTITY = files(__package__).joinpath("identity.sql").read_text()


async def people(
    clickhouse: ClickHouse, workspace_id: UUID, since: datetime, channel_of: Mapping[str, str]
) -> tuple[int, int]:
    """(active, in two or more channels)."""
    params = {
        "workspace_id": workspace_id,
        "since_ms": _ms(since),
        "sources": list(channel_of),
        "channels": list(channel_of.values()),
    }
    ((active, several),) = await clickhouse.query(_PEOPLE, params)
    return active, several


async def resolved(
    clickhouse: ClickHouse, workspace_id: UUID, since: datetime, known_since: datetime
) -> tuple[int, int]:
    """(events of sources where people sign in, those of known people)."""
    params = {
        "workspace_id": workspace_id,
        "since_ms": _ms(since),
        "known_since_ms": _ms(known_since),
    }
    ((events, known),) = await clickhouse.query(_IDENTITY, params)
    return events, known


async def quarantined(session: AsyncSession, since: datetime) -> dict[str, int]:
    """Entries set aside since and not replayed, by source."""
    statement = (
        select(QuarantineRow.source_id, func.count())
        .where(QuarantineRow.received_at >= since, QuarantineRow.replayed_at.is_(None))
        .group_by(QuarantineRow.source_id)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
