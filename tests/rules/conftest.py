"""The databases of the rule tests, started once per worker."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.rules.stores import ClickHouseEvents, PostgresPeople
from tests.support.postgres import DatabaseServer


@pytest.fixture(scope="session")
def people_store(postgres: DatabaseServer) -> Iterator[PostgresPeople]:
    database = postgres.create("profile", migrated=False)
    store = PostgresPeople.open(database.owner_dsn)
    yield store
    store.close()


@pytest.fixture(scope="session")
def event_store(chdb_path: str) -> Iterator[ClickHouseEvents]:
    store = ClickHouseEvents.open(chdb_path)
    yield store
    store.client.close()


@pytest.fixture(scope="session")
def tally() -> Iterator[Counter[str]]:
    """What was compared, printed at the end (`pytest -s`)."""
    counted: Counter[str] = Counter()
    yield counted
    for what, n in counted.items():
        print(f"{n:>9,} {what}")
