"""The inventory of touchpoints as it is now."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.kit.clickhouse import ClickHouse
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking.sources import store as sources
from services.tracking.touchpoints import store
from services.tracking.touchpoints.coverage import Entry, inventory


async def take(
    maker: SessionMaker, clickhouse: ClickHouse, workspace_id: UUID, days: int
) -> list[Entry]:
    """Every touchpoint with what was received of it in the last ``days``."""
    async with workspace_tx(maker, workspace_id) as session:
        settings = await sources.settings(session)
        documents = await store.documents(session, settings)
        declared = await store.declared(session)
    since = datetime.now(UTC) - timedelta(days=days)
    traffic = await store.seen(clickhouse, workspace_id, since)
    return inventory(settings, documents, declared, traffic)
