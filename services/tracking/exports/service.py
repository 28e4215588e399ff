"""Runs exports: a file is written while its events are read, and few at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from services.kit.clickhouse import ClickHouse, Columns
from services.tracking.errors import TooManyExports
from services.tracking.exports import store
from services.tracking.exports.formats import ENCODERS, Encoder, Format
from services.tracking.exports.store import SCHEMA, Selection

MAX_RUNNING = 4
"""Over all workspaces; each export keeps up to two cores and a row group of memory busy."""


class Exports:
    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._running: set[UUID] = set()

    async def file(
        self, workspace_id: UUID, wanted: Selection, kind: Format
    ) -> AsyncGenerator[bytes, None]:
        """The pieces of a file, never empty ones. Closing it early stops the query.

        ``TooManyExports`` at the first piece while the workspace's last export is still running.
        """
        if workspace_id in self._running:
            raise TooManyExports("The workspace's last export is still running.")
        if len(self._running) >= MAX_RUNNING:
            raise TooManyExports(f"{MAX_RUNNING} exports of other workspaces are running.")
        self._running.add(workspace_id)
        try:
            async with aclosing(unlimited(self._clickhouse, workspace_id, wanted, kind)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._running.discard(workspace_id)


async def unlimited(
    clickhouse: ClickHouse, workspace_id: UUID, wanted: Selection, kind: Format
) -> AsyncGenerator[bytes, None]:
    """The pieces of a file, never empty ones. Closing it early stops the query."""
    encoder = ENCODERS[kind](SCHEMA)
    async with aclosing(store.events(clickhouse, workspace_id, wanted)) as blocks:
        async for columns in blocks:
            if piece := await asyncio.to_thread(_encoded, encoder, columns):
                yield piece
    if piece := await asyncio.to_thread(encoder.end):
        yield piece


def _encoded(encoder: Encoder, columns: Columns) -> bytes:
    return encoder.block(store.block(columns))
