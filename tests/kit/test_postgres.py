"""Connections to PostgreSQL over a network that fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit import postgres as kit_postgres
from services.kit.settings import PostgresSettings
from tests.support.app import signing_key, trusted_keys
from tests.support.faultproxy import FaultProxy
from tests.support.postgres import DatabaseServer, NewDatabase

pytestmark = pytest.mark.anyio


@pytest.fixture
def network(postgres: DatabaseServer) -> Iterator[FaultProxy]:
    with FaultProxy(lambda: Path(postgres.cluster.socket) / ".s.PGSQL.5432") as proxy:
        yield proxy


def _engine(dsn: URL) -> AsyncEngine:
    return kit_postgres.create_engine(
        PostgresSettings.model_validate(
            {
                "postgres_dsn": dsn.render_as_string(hide_password=False),
                "signing_key": signing_key("profile"),
                "trusted_keys": trusted_keys(),
            }
        )
    )


async def test_a_connection_whose_other_end_vanished_is_given_up_and_replaced(
    database: NewDatabase, network: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit_postgres, "COMMAND_SECONDS", 0.3)
    dsn = make_url(database("profile", migrated=False).app_dsn)
    engine = _engine(dsn.set(host="127.0.0.1", port=network.port, query={}))
    maker = kit_postgres.create_sessionmaker(engine)
    await kit_postgres.ping(maker)
    network.half_open()
    with pytest.raises(TimeoutError):
        await kit_postgres.ping(maker)
    await kit_postgres.ping(maker)
    await engine.dispose()


async def test_a_server_whose_socket_is_gone_is_a_failed_connection(tmp_path: Path) -> None:
    """As embedded PostgreSQL leaves it after a crash: callers are told to come again."""
    engine = _engine(make_url(f"postgresql+asyncpg://app@/waymark?host={tmp_path}"))
    with pytest.raises(ConnectionError):
        await kit_postgres.ping(kit_postgres.create_sessionmaker(engine))
    await engine.dispose()
