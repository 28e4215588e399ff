"""Requests to providers: whatever answers, they come to an end."""

import asyncio

import httpx2
import pytest

from services.kit.guard import webhook_client
from services.orchestrator.delivery import provider

pytestmark = pytest.mark.anyio


async def test_an_answer_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "ANSWER_SECONDS", 0.2)
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        while await reader.read(65_536):
            await writer.drain()
        gone.set()
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with webhook_client(allow_private=True) as client:
            with pytest.raises(httpx2.ReadTimeout):
                await asyncio.wait_for(
                    provider.ask(client, provider.Request("POST", f"http://127.0.0.1:{port}/")), 10
                )
        await asyncio.wait_for(gone.wait(), 10)
