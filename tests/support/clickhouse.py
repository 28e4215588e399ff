"""Where a test's ClickHouse lives: chDB inside the test, or a server that speaks its HTTP.

chDB takes one directory per process for as long as it lives and never survives a fork, so the
directory is the worker's and every test has a database of its own. The server is a process by
spawn on another directory. Modules and tests say by a mark on which of them they run.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from services.tracking.clickhouse.cluster import Cluster
from tests.support.clickhouse_http.engine import CLUSTER
from tests.support.instance import REPOSITORY
from tests.support.waiting import until

START_SECONDS = 60.0

KINDS = ("chdb", "http", "cluster")
on_every_clickhouse = pytest.mark.every_clickhouse
"""For tests of the schema itself."""
embedded_and_cluster = pytest.mark.every_clickhouse("chdb", "cluster")
"""For all others: a cluster is reached over HTTP, as a single server is."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "every_clickhouse: run on each kind of ClickHouse, or on those"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker("every_clickhouse")
    if marked and "clickhouse_kind" in metafunc.fixturenames:
        metafunc.parametrize("clickhouse_kind", marked.args or KINDS)


class ClickHouseServer:
    """ClickHouse's HTTP interface over a chDB directory; it can be told to fail, and be killed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.port = _free_port()
        self._control = f"http://127.0.0.1:{self.port}/-/"
        self._process: subprocess.Popen[bytes] | None = None

    def dsn(self, database: str, user: str = "", **options: Any) -> str:
        login = f"{user}@" if user else ""
        more = "&".join(f"{key}={value}" for key, value in options.items())
        return f"clickhouse://{login}127.0.0.1:{self.port}/{database}?{more}"

    def start(self) -> None:
        module = "tests.support.clickhouse_http.server"
        places = (str(self._home / "chdb"), str(self._home / "scratch"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(self.port), *places],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
        )
        until(self._answers, within=START_SECONDS, what="the test's ClickHouse answers")

    def kill(self) -> None:
        """At once, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def fail(self, kind: str, **fault: Any) -> None:
        """What the next requests meet: see ``faults.Fault``."""
        body = json.dumps({"kind": kind, **fault})
        httpx2.post(f"{self._control}faults", content=body).raise_for_status()

    def heal(self) -> None:
        """No more faults; what was held goes on."""
        httpx2.post(f"{self._control}clear").raise_for_status()

    def state(self) -> dict[str, Any]:
        """``held`` requests, ``running`` ones, ``rows`` of each insert so far."""
        found: dict[str, Any] = httpx2.get(f"{self._control}state").json()
        return found

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the test's ClickHouse ended"
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/ping", timeout=2.0).status_code == 200
        except httpx2.TransportError:
            return False


@pytest.fixture(scope="session")
def chdb_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Absolute path of this worker's chDB directory."""
    return str(tmp_path_factory.mktemp("chdb"))


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """This worker's server; a test that plans faults heals it."""
    server = ClickHouseServer(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def clickhouse_kind() -> str:
    """``chdb``, ``http`` or ``cluster``."""
    return "chdb"


@pytest.fixture
def clickhouse_cluster(clickhouse_kind: str) -> Cluster | None:
    return Cluster(CLUSTER) if clickhouse_kind == "cluster" else None


@pytest.fixture
def stored_events(clickhouse_kind: str) -> str:
    """The table that holds the rows of ``events``."""
    return "events_local" if clickhouse_kind == "cluster" else "events"


@pytest.fixture
def clickhouse_database() -> str:
    """A database name that no other test of this worker uses."""
    return f"test_{uuid4().hex}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
