"""SQL of retention policies, and of what they expire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.clickhouse import ClickHouse
from services.kit.ids import uuid7
from services.tracking.clickhouse import mutations
from services.tracking.clickhouse.cluster import Cluster, statements
from services.tracking.retention.compile import Policy
from services.tracking.tables import RetentionPolicyRow

_ROW = RetentionPolicyRow
_COLUMNS = (_ROW.id, _ROW.type, _ROW.event, _ROW.source_id, _ROW.days)
_WORKSPACES = text("SELECT workspace_id FROM retention_workspaces()")
_EXPIRE = text("SELECT quarantine_expire(:before, :batch)")
_FIND = """
SELECT _partition_id AS partition, count() FROM events
WHERE workspace_id = {{workspace_id:UUID}} AND ({condition})
GROUP BY partition ORDER BY partition
"""
_DELETE = """
DELETE FROM ${{rows:events}} IN PARTITION ID '{partition}'
WHERE workspace_id = {{workspace_id:UUID}} AND ({condition})
"""
STORED = "events"
_PURGE = "ALTER TABLE ${{rows:events}} APPLY DELETED MASK IN PARTITION ID '{partition}'"
# Of its own accord ClickHouse waits for a mutation, and the loader would wait with it.
_UNAWAITED = {"lightweight_deletes_sync": 0, "mutations_sync": 0}


async def policies(session: AsyncSession) -> list[Policy]:
    """Of the session's workspace, the one that counts first comes first."""
    found = [Policy(*row) for row in await session.execute(select(*_COLUMNS))]
    return sorted(found, key=lambda policy: policy.rank, reverse=True)


async def count(session: AsyncSession) -> int:
    return int(await session.scalar(select(func.count()).select_from(_ROW)) or 0)


async def put(session: AsyncSession, workspace_id: UUID, values: Mapping[str, Any]) -> Policy:
    """The policy of its class (type, event, source), made or changed."""
    statement = postgresql.insert(_ROW).values(
        id=uuid7(), workspace_id=workspace_id, changed_at=func.clock_timestamp(), **values
    )
    statement = statement.on_conflict_do_update(
        index_elements=[_ROW.workspace_id, _ROW.type, _ROW.event, _ROW.source_id],
        set_={"days": statement.excluded.days, "changed_at": statement.excluded.changed_at},
    )
    return Policy(*(await session.execute(statement.returning(*_COLUMNS))).one())


async def remove(session: AsyncSession, policy_id: UUID) -> bool:
    statement = delete(_ROW).where(_ROW.id == policy_id).returning(_ROW.id)
    return (await session.execute(statement)).one_or_none() is not None


async def workspaces(session: AsyncSession) -> Sequence[UUID]:
    """Those that have policies."""
    return [workspace_id for (workspace_id,) in await session.execute(_WORKSPACES)]


async def expire_refused(session: AsyncSession, before: datetime, batch: int) -> int:
    """Removes the oldest refused events of all workspaces, at most ``batch``."""
    return int(await session.scalar(_EXPIRE, {"before": before, "batch": batch}) or 0)


async def expired(
    clickhouse: ClickHouse, workspace_id: UUID, condition: str, params: Mapping[str, Any]
) -> list[tuple[str, int]]:
    """(partition of ``events``, number of expired events in it), the oldest first."""
    sql = _FIND.format(condition=condition)
    rows = await clickhouse.query(sql, {**params, "workspace_id": workspace_id})
    return [(partition, number) for partition, number in rows]


async def expire(
    clickhouse: ClickHouse,
    cluster: Cluster | None,
    workspace_id: UUID,
    partition: str,
    condition: str,
    params: Mapping[str, Any],
) -> None:
    """Begins to hide expired events of one partition."""
    values = {**params, "workspace_id": workspace_id}
    for statement in statements(_DELETE.format(condition=condition, partition=partition), cluster):
        await clickhouse.command(statement, values, _UNAWAITED)


async def purge(clickhouse: ClickHouse, cluster: Cluster | None) -> None:
    """Waits until all events are hidden that are to be, and begins to write the parts that hold
    hidden ones anew without them; those too that a pass which was cut off has left."""
    tables = [STORED if cluster is None else f"{STORED}_local"]
    await mutations.ended(clickhouse, cluster, tables)
    hidden = "active AND has_lightweight_delete"
    found = await mutations.told(
        clickhouse, cluster, "DISTINCT partition_id", "parts", hidden, tables
    )
    for (partition,) in found:
        for statement in statements(_PURGE.format(partition=partition), cluster):
            await clickhouse.command(statement, settings=_UNAWAITED)
