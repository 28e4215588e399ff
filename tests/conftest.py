"""Fixtures every test may use: an embedded Postgres, a chDB path, asyncio as the only loop."""

import pytest

pytest_plugins = ["tests.support.postgres", "tests.support.clickhouse"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
