"""Looks into an instance's embedded ClickHouse while no store owns it, in a process of its own.

``python -m tests.chaos.analytics prepare DATA_DIR`` makes the schema and a materialised view as an
operator might; ``… compare DATA_DIR WORKSPACE_ID LEDGER`` prints what differs from the ledger.
A process can open one chDB directory only, and tests of the same worker may have another one.
"""

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from services.kit.clickhouse import ClickHouse
from services.tracking.clickhouse import migrate
from tests.chaos import ledger
from tests.support.instance import REPOSITORY

_TIMEOUT_SECONDS = 300.0
_VIEW = """
CREATE MATERIALIZED VIEW IF NOT EXISTS operators_days
ENGINE = SummingMergeTree ORDER BY (workspace_id, day)
SETTINGS non_replicated_deduplication_window = 1000
AS SELECT workspace_id, toDate(occurred_at) AS day, count() AS events
FROM events GROUP BY workspace_id, day
"""
_COUNTS = """
SELECT count(), uniqExact((source_id, message_id)), countIf(type = 'track') FROM events
WHERE workspace_id = {workspace_id:UUID}
"""
_STORED = """
SELECT message_id, JSONExtractInt(if(type = 'track', properties, context), 'serial')
FROM events WHERE workspace_id = {workspace_id:UUID}
"""
_DAYS = """
SELECT toDate(occurred_at) AS day, count() FROM events
WHERE workspace_id = {workspace_id:UUID} GROUP BY day
"""
_VIEW_DAYS = """
SELECT day, sum(events) FROM operators_days
WHERE workspace_id = {workspace_id:UUID} GROUP BY day
"""


@dataclass(frozen=True)
class Compared:
    stored: int
    """``count()`` without FINAL."""
    distinct: int
    tracked: int
    """Those of type ``track``."""
    lost: int
    """Acknowledged ids that are not there."""
    foreign: int
    """Rows that were never sent like this."""
    view_off_by: int
    """Sum over the days of how far the materialised view is from the events."""

    @property
    def duplicated(self) -> int:
        return self.stored - self.distinct


def prepare(data_dir: Path) -> None:
    _call("prepare", str(data_dir))


def compare(data_dir: Path, workspace_id: str, written: Path) -> Compared:
    """``written`` is a ledger's file."""
    return Compared(**json.loads(_call("compare", str(data_dir), workspace_id, str(written))))


def _call(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.analytics", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_SECONDS,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def _prepare(data_dir: Path) -> None:
    clickhouse = await ClickHouse.open(f"chdb://{data_dir / 'chdb'}", readers=1)
    await migrate.upgrade(clickhouse)
    await clickhouse.command(_VIEW)
    await clickhouse.close()


async def _compare(data_dir: Path, workspace_id: UUID, written: Path) -> Compared:
    acknowledged, sent = ledger.read(written)
    clickhouse = await ClickHouse.open(f"chdb://{data_dir / 'chdb'}", readers=1)
    bound = {"workspace_id": workspace_id}
    ((stored, distinct, tracked),) = await clickhouse.query(_COUNTS, bound)
    rows = {(str(each), int(serial)) for each, serial in await clickhouse.query(_STORED, bound)}
    days: dict[Any, int] = dict(await clickhouse.query(_DAYS, bound))
    view: dict[Any, int] = dict(await clickhouse.query(_VIEW_DAYS, bound))
    await clickhouse.close()
    return Compared(
        stored=stored,
        distinct=distinct,
        tracked=tracked,
        lost=len(acknowledged - {each for each, _ in rows}),
        foreign=len(rows - sent),
        view_off_by=sum(abs(days.get(d, 0) - view.get(d, 0)) for d in days.keys() | view.keys()),
    )


def main() -> None:
    verb, data_dir, *rest = sys.argv[1:]
    if verb == "prepare":
        asyncio.run(_prepare(Path(data_dir)))
    else:
        workspace_id, written = rest
        found = asyncio.run(_compare(Path(data_dir), UUID(workspace_id), Path(written)))
        print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
