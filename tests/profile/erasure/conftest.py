"""A profile service whose neighbours take part in erasures."""

from collections.abc import AsyncIterator

import pytest

from tests.profile.erasure.neighbours import Neighbours
from tests.profile.tracking import FakeTracking


@pytest.fixture
def neighbours() -> Neighbours:
    return Neighbours()


@pytest.fixture
async def tracking(neighbours: Neighbours) -> AsyncIterator[FakeTracking]:
    fake = FakeTracking(more=[neighbours.router()])
    async with fake.serving():
        yield fake
