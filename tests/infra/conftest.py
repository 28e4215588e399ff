"""One running instance for the tests that leave it whole."""

from collections.abc import Iterator

import pytest

from tests.support.instance import Instance


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with Instance(tmp_path_factory.mktemp("instance") / "data") as instance:
        yield instance
