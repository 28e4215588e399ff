"""One running Waymark for all end-to-end tests of a worker."""

from collections.abc import Iterator

import pytest

from tests.support.instance import Instance
from tests.support.platform import Mailbox, Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Instance(tmp_path_factory.mktemp("waymark") / "data") as instance:
        running = Platform(instance)
        yield running
        running.close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box
