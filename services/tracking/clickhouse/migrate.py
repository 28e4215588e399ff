"""Brings the ClickHouse schema up to date: numbered ``.sql`` files, forward only, each once.

ClickHouse has no transactions around DDL, so every statement can be run again: a start that was
killed half-way goes on where it stopped. Markers in the files say what is different on a cluster
(``cluster.py``).
"""

import hashlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.resources import files

import structlog

from services.kit.clickhouse import ClickHouse
from services.tracking.clickhouse.cluster import Cluster, alone, statements

log = structlog.get_logger(__name__)

_REGISTRY = """
CREATE TABLE IF NOT EXISTS ${everywhere:schema_migration} (
  number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ${engine:ReplacingMergeTree(applied_at)} ORDER BY number
"""
_RECORD = """
INSERT INTO schema_migration (number, name, checksum)
VALUES ({number:UInt32}, {name:String}, {checksum:String})
"""


class ChangedMigration(Exception):
    """A file that was applied before is not the same any more; write a new one instead."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Of what a single node runs: markers may come to a file that was applied before."""
        return hashlib.sha256(alone(self.sql).encode()).hexdigest()

    def statements(self, cluster: Cluster | None) -> list[str]:
        """Statements end with a semicolon at the end of a line."""
        parts = [part.strip() for part in (self.sql + "\n").split(";\n") if part.strip()]
        return [each for part in parts for each in statements(part, cluster)]


def migrations() -> list[Migration]:
    folder = files(__package__).joinpath("migrations")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [
        Migration(int(name.partition("_")[0]), name, folder.joinpath(name).read_text())
        for name in names
    ]


async def open_clickhouse(
    dsn: str, cluster: Cluster | None = None, *, read_dsn: str | None = None
) -> ClickHouse:
    """Connected, with the settings of its kind, and at the newest migration."""
    if cluster and dsn.startswith("chdb:"):
        raise ValueError("TRACKING_CLICKHOUSE_CLUSTER is for servers: an embedded one has none")
    clickhouse = await ClickHouse.open(
        dsn,
        read_dsn=read_dsn,
        write_settings=cluster.write_settings if cluster else None,
        read_settings=cluster.read_settings if cluster else None,
    )
    async with AsyncExitStack() as unless_upgraded:
        unless_upgraded.push_async_callback(clickhouse.close)
        await upgrade(clickhouse, cluster)
        unless_upgraded.pop_all()
    return clickhouse


async def upgrade(clickhouse: ClickHouse, cluster: Cluster | None = None) -> None:
    """Applies what is missing; ``ChangedMigration`` when history was edited."""
    for statement in statements(_REGISTRY, cluster):
        await clickhouse.command(statement)
    rows = await clickhouse.query_written("SELECT number, checksum FROM schema_migration FINAL")
    applied: dict[int, str] = dict(rows)
    for migration in migrations():
        known = applied.get(migration.number)
        if known is None:
            for statement in migration.statements(cluster):
                await clickhouse.command(statement)
            await clickhouse.command(
                _RECORD,
                {
                    "number": migration.number,
                    "name": migration.name,
                    "checksum": migration.checksum,
                },
            )
            log.info("clickhouse_migrated", migration=migration.name)
        elif known != migration.checksum:
            raise ChangedMigration(f"{migration.name} was applied with other contents")
