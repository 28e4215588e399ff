"""Fresh, migrated databases for tests, on an embedded Postgres of each test worker's own.

The server is started by the runner's own code, in a private directory and behind a private
socket, so any number of runs may go on side by side. A service is migrated once per worker into
a template; a test's database is a copy of it (some 50 ms).
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from infra.runner.cluster import Cluster
from services.kit.migrate import upgrade

# A test's data may be lost in a power cut; only the product's may not.
_TEST_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
}
_OWNER_PASSWORD = "owner"
_APP_PASSWORD = "app"


@dataclass(frozen=True)
class Database:
    """A database of one service: `owner_dsn` for migrations, `app_dsn` (RLS holds) for the app."""

    service: str
    name: str
    owner_dsn: str
    app_dsn: str


@dataclass
class DatabaseServer:
    cluster: Cluster
    _templates: dict[tuple[str, bool], str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def create(self, service: str, *, migrated: bool = True) -> Database:
        """A new database of `service` (gateway, tracking, profile, …) at its newest migration.

        `migrated=False` gives an empty one, with the roles and default privileges in place.
        """
        template = self._template(service, migrated)
        name = f"test_{next(self._numbers)}"
        self._copy(template, name, service)
        return self._database(service, name)

    def drop(self, database: Database) -> None:
        """Drop it even while connections are open."""
        self.cluster.psql(f"DROP DATABASE {database.name} WITH (FORCE)")

    def _template(self, service: str, migrated: bool) -> str:
        known = self._templates.get((service, migrated))
        if known is not None:
            return known
        if not migrated:
            self.cluster.ensure_services({service: (_OWNER_PASSWORD, _APP_PASSWORD)})
            name = service
        else:
            name = f"template_{service}"
            self._copy(self._template(service, migrated=False), name, service)
            package = service if service == "gateway" else f"services.{service}"
            dsn = self._database(service, name).owner_dsn
            # In a thread: a test's event loop may be running in this one.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(lambda: asyncio.run(upgrade(package, dsn))).result()
        self._templates[service, migrated] = name
        return name

    def _copy(self, template: str, name: str, service: str) -> None:
        options = f'TEMPLATE "{template}" OWNER {service}_owner STRATEGY file_copy'
        self.cluster.psql(f'CREATE DATABASE "{name}" {options}')

    def _database(self, service: str, name: str) -> Database:
        owner = self.cluster.dsn(f"{service}_owner", _OWNER_PASSWORD, name)
        app = self.cluster.dsn(f"{service}_app", _APP_PASSWORD, name)
        return Database(service, name, owner, app)


class NewDatabase(Protocol):
    def __call__(self, service: str, *, migrated: bool = True) -> Database: ...


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseServer]:
    """The worker's server; for fixtures wider than one test: `postgres.create("profile")`."""
    home: Path = tmp_path_factory.mktemp("postgres")
    cluster = Cluster(home, settings=_TEST_SETTINGS, log=home / "postgres.log")
    cluster.start()
    try:
        yield DatabaseServer(cluster)
    finally:
        cluster.stop()


@pytest.fixture
def database(postgres: DatabaseServer) -> Iterator[NewDatabase]:
    """`database("profile")` → a fresh migrated `Database`, dropped after the test."""
    made: list[Database] = []

    def create(service: str, *, migrated: bool = True) -> Database:
        made.append(postgres.create(service, migrated=migrated))
        return made[-1]

    yield create
    for each in made:
        postgres.drop(each)
