"""Traits of everybody as an Arrow stream, a page of profiles at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Row, text

from services.kit.postgres import SessionMaker, workspace_tx

PAGE = 10_000

_TRAITS = text("""
SELECT profile_id, ARRAY(
    SELECT CAST(p.traits #> string_to_array(path, '.') AS text)
    FROM unnest(CAST(:paths AS text[])) WITH ORDINALITY AS asked(path, n) ORDER BY n) AS found
FROM profile p
WHERE workspace_id = :workspace_id AND profile_id > :after
ORDER BY profile_id LIMIT :limit
""")


async def traits(maker: SessionMaker, workspace_id: UUID, paths: list[str]) -> AsyncIterator[bytes]:
    """Pieces of a stream of ``profile_id`` and ``trait_<i>``, the JSON text of each path."""
    schema = pa.schema([(name, pa.string()) for name in ("profile_id", *_names(paths))])
    sink = _Sink()
    writer = pa.ipc.new_stream(sink, schema)
    after = UUID(int=0)
    while True:
        parameters = {"workspace_id": workspace_id, "paths": paths, "after": after, "limit": PAGE}
        async with workspace_tx(maker, workspace_id) as session:
            rows = (await session.execute(_TRAITS, parameters)).all()
        if rows:
            await asyncio.to_thread(writer.write_batch, _batch(rows, schema))
            after = rows[-1].profile_id
        if len(rows) < PAGE:
            break
        yield sink.take()
    writer.close()
    yield sink.take()


def _names(paths: list[str]) -> list[str]:
    return [f"trait_{index}" for index in range(len(paths))]


def _batch(rows: Sequence[Row[Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [[str(row.profile_id) for row in rows]]
    columns += [[row.found[index] for row in rows] for index in range(len(schema) - 1)]
    return pa.record_batch([pa.array(c, pa.string()) for c in columns], schema=schema)


class _Sink:
    """What the writer wrote since it was last asked."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        data, self._pieces = b"".join(self._pieces), []
        return data
