"""One engine per process, one transaction per request, row-level security in each of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from services.kit.auth import UserCaller
from services.kit.settings import PostgresSettings

SessionMaker = async_sessionmaker[AsyncSession]

SET_WORKSPACE = text("SELECT set_config('app.workspace_id', :workspace_id, true)")


CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 300.0
"""One on a connection whose other end has vanished would wait for ever. The longest of ours writes
the log anew after an erasure, five seconds per gigabyte."""
KEEPALIVES = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""For the server, which else keeps the session and its locks for two hours after we vanished."""


def create_engine(settings: PostgresSettings) -> AsyncEngine:
    # pre_ping: after a restart of PostgreSQL a pooled connection is dead; the caller should not
    # be the one to find out.
    return create_async_engine(
        settings.postgres_dsn.get_secret_value(),
        pool_size=settings.postgres_pool_size,
        pool_pre_ping=True,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": COMMAND_SECONDS,
            "async_creator_fn": _connect,
            "server_settings": KEEPALIVES,
        },
    )


async def _connect(*args: Any, **kwargs: Any) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(*args, **kwargs)
    except FileNotFoundError as error:
        # A server that is down has removed its socket's file. Of other files that would be a bug.
        raise ConnectionRefusedError("PostgreSQL's socket is not there") from error


def create_sessionmaker(engine: AsyncEngine) -> SessionMaker:
    return async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def workspace_tx(maker: SessionMaker, workspace_id: UUID) -> AsyncIterator[AsyncSession]:
    """One transaction that sees the rows of one workspace; commits at the end of the block."""
    async with maker.begin() as session:
        await session.execute(SET_WORKSPACE, {"workspace_id": str(workspace_id)})
        yield session


async def _session(request: Request, caller: UserCaller) -> AsyncIterator[AsyncSession]:
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        yield session


# scope="function": FastAPI's default leaves the dependency after the response was sent,
# so a failing COMMIT would reach the client as a 200.
Session = Annotated[AsyncSession, Depends(_session, scope="function")]


async def ping(maker: SessionMaker) -> None:
    """Raises when the database does not answer; for ``/readyz``."""
    async with maker() as session:
        await session.execute(text("SELECT 1"))
