"""Where a test's chDB lives: one directory per worker process, one database per test.

chDB takes one path per process for as long as it lives and never survives a fork, so the path is
the worker's and tests that need processes of their own start them by spawn on another path.
"""

from uuid import uuid4

import pytest


@pytest.fixture(scope="session")
def chdb_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Absolute path of this worker's chDB directory."""
    return str(tmp_path_factory.mktemp("chdb"))


@pytest.fixture
def clickhouse_database() -> str:
    """A database name that no other test of this worker uses."""
    return f"test_{uuid4().hex}"
