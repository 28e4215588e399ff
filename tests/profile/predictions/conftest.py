"""Summaries of behaviour from a tracking service that tells what a test gave it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from threadpoolctl import threadpool_limits

from services.contracts.tracking import BehaviourQuery
from tests.profile.conftest import World
from tests.profile.tracking import FakeTracking

Answer = Callable[[BehaviourQuery], dict[str, list[Any]]]


def packed(columns: dict[str, list[Any]]) -> bytes:
    table = pa.table(
        {
            name: pa.array(
                values, pa.string() if name in ("profile_id", "channel") else pa.float64()
            )
            for name, values in columns.items()
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@dataclass
class BehaviourTracking(FakeTracking):
    """``answer`` makes the columns of a summary; no answer ends before ``go_on`` is set."""

    answer: Answer = lambda _: {"profile_id": []}
    asked: list[BehaviourQuery] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> FastAPI:
        app = super().app()

        @app.post("/internal/v1/behaviour/summary")
        async def summary(request: Request) -> Response:
            query = BehaviourQuery.model_validate(await request.json())
            self.asked.append(query)
            content = packed(self.answer(query))

            async def pieces() -> AsyncIterator[bytes]:
                yield content[: len(content) // 2]
                await self.go_on.wait()
                yield content[len(content) // 2 :]

            return StreamingResponse(pieces())

        return app


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in production: beside other tests more threads wait for each other for minutes."""
    with threadpool_limits(1):
        yield


@pytest.fixture
async def tracking() -> AsyncIterator[BehaviourTracking]:
    fake = BehaviourTracking()
    fake.go_on.set()
    async with fake.serving():
        yield fake


async def settled(world: World, path: str, key: str | None = None) -> dict[str, Any]:
    """The run at ``path`` (or under ``key`` of it) once it is done or failed."""
    async with asyncio.timeout(180):
        while True:
            found = await world.get(path)
            run: dict[str, Any] = found[key] if key else found
            if run["state"] in ("done", "failed"):
                return run
            await world.feed(wait=0.05)
