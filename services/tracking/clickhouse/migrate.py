"""Brings the ClickHouse schema up to date: numbered ``.sql`` files, forward only, each once.

ClickHouse has no transactions around DDL, so every statement can be run again: a start that was
killed half-way goes on where it stopped.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

import structlog

from services.kit.clickhouse import ClickHouse

log = structlog.get_logger(__name__)

_REGISTRY = """
CREATE TABLE IF NOT EXISTS schema_migration (
  number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree(applied_at) ORDER BY number
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
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """Statements end with a semicolon at the end of a line."""
        return [part.strip() for part in (self.sql + "\n").split(";\n") if part.strip()]


def migrations() -> list[Migration]:
    folder = files(__package__).joinpath("migrations")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [
        Migration(int(name.partition("_")[0]), name, folder.joinpath(name).read_text())
        for name in names
    ]


async def upgrade(clickhouse: ClickHouse) -> None:
    """Applies what is missing; ``ChangedMigration`` when history was edited."""
    await clickhouse.command(_REGISTRY)
    rows = await clickhouse.query("SELECT number, checksum FROM schema_migration FINAL")
    applied: dict[int, str] = dict(rows)
    for migration in migrations():
        known = applied.get(migration.number)
        if known is None:
            for statement in migration.statements:
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
