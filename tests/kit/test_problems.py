"""What callers of any service are told when its database cannot answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from services.kit import app as kit_app
from services.kit import postgres as kit_postgres
from services.kit.settings import PostgresSettings
from tests.support.app import running, signing_key, trusted_keys
from tests.support.postgres import DatabaseServer, NewDatabase

pytestmark = pytest.mark.anyio


def _app(dsn: str) -> FastAPI:
    settings = PostgresSettings.model_validate(
        {
            "postgres_dsn": dsn,
            "signing_key": signing_key("profile"),
            "trusted_keys": trusted_keys(),
        }
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        engine = kit_postgres.create_engine(settings)
        yield {"sessionmaker": kit_postgres.create_sessionmaker(engine)}
        await engine.dispose()

    app = kit_app.create_app(
        "profile", settings, title="Asks", description="Asks.", lifespan=lifespan, checks={}
    )

    @app.get("/asks")
    async def asks(request: Request) -> None:
        await kit_postgres.ping(request.state.sessionmaker)

    @app.post("/reads")
    async def reads(request: Request) -> int:
        return len(await request.body())

    return app


async def test_a_database_that_takes_no_connection_is_503_and_never_500(
    postgres: DatabaseServer, database: NewDatabase
) -> None:
    """As when it starts up: the driver has no class of its own for either."""
    theirs = database("profile", migrated=False)
    postgres.cluster.psql(f"ALTER DATABASE {theirs.name} CONNECTION LIMIT 0")
    async with running(_app(theirs.app_dsn)) as client:
        answer = await client.get("/asks")
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/unavailable"
    assert int(answer.headers["retry-after"]) > 0


async def test_a_client_that_goes_away_is_no_error_of_the_service(database: NewDatabase) -> None:
    """An error would be logged with its traceback and raised to the server."""
    app = _app(database("profile", migrated=False).app_dsn)
    scope = {"type": "http", "method": "POST", "path": "/reads", "headers": [], "query_string": b""}

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        assert message.get("status") != 500

    await app(scope, gone, send)
