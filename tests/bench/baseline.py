"""What ingestion is compared with: a FastAPI route that only reads the body, and a bare append."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import zstandard
from fastapi import FastAPI, Request
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.tracking.log.commit import GroupCommit
from services.tracking.log.port import Append, events_partition

WORKSPACE = UUID(int=1)


class BaselineSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="BASELINE_", frozen=True)

    postgres_dsn: SecretStr = Field(description="SQLAlchemy URL of a tracking database.")


class BareAppend:
    """Plain ASGI: the body as it came, compressed, one log row; answered once durable."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        data = zstandard.ZstdCompressor(level=1).compress(await request.body())
        partition = events_partition(WORKSPACE)
        await request.state.appender.append(Append(WORKSPACE, partition, 1, data))
        await Response(b"{}")(scope, receive, send)


def create_app() -> FastAPI:
    settings = BaselineSettings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        appender = GroupCommit(settings.postgres_dsn.get_secret_value())
        task = asyncio.create_task(appender.run())
        yield {"appender": appender}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app = FastAPI(lifespan=lifespan)

    @app.post("/read")
    async def read(request: Request) -> dict[str, bool]:
        await request.body()
        return {"success": True}

    app.router.routes.insert(0, Route("/append", BareAppend(), methods=["POST"]))
    return app
