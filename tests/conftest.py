"""Fixtures every test may use: an embedded Postgres, a chDB path, asyncio as the only loop."""

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine, not about the code.
settings.register_profile("waymark", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("waymark")

pytest_plugins = ["tests.support.postgres", "tests.support.clickhouse", "tests.support.kafka"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
