"""Sequencer and loader stepped by hand, with a connection to ClickHouse that can break."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from services.kit.clickhouse import ClickHouse, OperationalError
from services.kit.feeds import Bell
from services.kit.postgres import SessionMaker
from services.kit.workers import Wake, Workers
from services.tracking.erasure.seal import Seal
from services.tracking.loader.worker import Loader
from services.tracking.log.port import Log
from services.tracking.sequencer.ids import SeenIds
from services.tracking.sequencer.worker import Sequencer
from tests.tracking.service import Tracking, track


class Cut(ClickHouse):
    """A connection that breaks: after ``held`` rows of the next insert have arrived."""

    held: int | None = None

    async def insert_arrow(
        self, table: str, data: pa.Table, settings: Mapping[str, Any] | None = None
    ) -> None:
        if self.held is None:
            await super().insert_arrow(table, data, settings)
            return
        if self.held:
            await super().insert_arrow(table, data.slice(0, self.held), settings)
        self.held = None
        raise OperationalError("connection reset by peer")


@dataclass
class Pipeline:
    """Sequencer and loader, stepped by hand."""

    tracking: Tracking
    clickhouse: Cut
    maker: SessionMaker
    log: Log

    def loader(self) -> Loader:
        """A new one, as after a restart."""
        return Loader(self.maker, self.log, self.clickhouse, Wake(), Workers())

    async def append(self, *events: dict[str, Any]) -> None:
        async with self.tracking.ingest() as client:
            response = await client.post("/v1/batch", json={"batch": list(events)})
        assert response.status_code == 200
        assert self.tracking.seen_ids_dir is not None
        ids = SeenIds(self.tracking.seen_ids_dir)
        await Sequencer(
            self.maker, self.log, ids, Bell(), Wake(), lambda: None, Seal("test")
        ).sequence_all()
        ids.close()

    async def stored(self) -> list[str]:
        rows = await self.clickhouse.query("SELECT message_id FROM events ORDER BY message_id")
        return [row[0] for row in rows]


def events(*names: str, **fields: Any) -> list[dict[str, Any]]:
    return [track(messageId=name, **fields) for name in names]
