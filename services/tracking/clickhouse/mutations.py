"""What ClickHouse goes on doing to tables after it was acknowledged, and what it left of parts."""

import asyncio
from collections.abc import Collection
from typing import Any

from services.kit.clickhouse import ClickHouse, Rows
from services.tracking.clickhouse.cluster import Cluster, everywhere

_LOOK_SECONDS = 0.2


async def ended(clickhouse: ClickHouse, cluster: Cluster | None, tables: Collection[str]) -> None:
    """Returns when no mutation of these tables goes on, on any node.

    To be awaited between a lightweight delete and ``APPLY DELETED MASK``: ClickHouse may do both in
    one go, and then keeps the rows that the first hides.
    """
    asked = (clickhouse, cluster, "count()", "mutations", "NOT is_done", tables)
    while await told(*asked) != [(0,)]:  # noqa: ASYNC110 - it sends no word
        await asyncio.sleep(_LOOK_SECONDS)


async def told(
    clickhouse: ClickHouse,
    cluster: Cluster | None,
    what: str,
    system_table: str,
    condition: str,
    tables: Collection[str],
    **values: Any,
) -> Rows:
    """``SELECT what`` from a system table of every node; of these tables, all of one database."""
    # Nodes that are asked by another one have a current database of their own. The writer asks:
    # read-only handles may not use table functions.
    [(database,)] = await clickhouse.query_written("SELECT currentDatabase()")
    source = everywhere(f"system.{system_table}", cluster)
    sql = (
        f"SELECT {what} FROM {source} WHERE {condition} "  # noqa: S608
        "AND database = {database:String} AND table IN {tables:Array(String)}"
    )
    bound = {**values, "database": database, "tables": list(tables)}
    return await clickhouse.query_written(sql, bound)
