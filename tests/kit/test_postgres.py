"""Connections to PostgreSQL over a network that fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

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


async def test_a_connection_whose_other_end_vanished_is_given_up_and_replaced(
    database: NewDatabase, network: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit_postgres, "COMMAND_SECONDS", 0.3)
    dsn = make_url(database("profile", migrated=False).app_dsn)
    over_tcp = dsn.set(host="127.0.0.1", port=network.port, query={})
    engine = kit_postgres.create_engine(
        PostgresSettings.model_validate(
            {
                "postgres_dsn": over_tcp.render_as_string(hide_password=False),
                "signing_key": signing_key("profile"),
                "trusted_keys": trusted_keys(),
            }
        )
    )
    maker = kit_postgres.create_sessionmaker(engine)
    await kit_postgres.ping(maker)
    network.half_open()
    with pytest.raises(TimeoutError):
        await kit_postgres.ping(maker)
    await kit_postgres.ping(maker)
    await engine.dispose()
