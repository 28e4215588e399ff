"""What the clients need: node and its packages, a browser, and a running Waymark."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.sdk.runs import Client, Outcome, Use, collect, execute, prepare
from tests.support.instance import Instance
from tests.support.platform import Platform
from tests.support.waiting import until

PACKAGES = Path(__file__).parent / "node_modules"
AT_A_TIME = 6
"""Clients wait much longer than they work."""


def need(found: bool, install: str) -> None:
    """Skips what cannot run on this machine; in CI that is a failure."""
    if found:
        return
    if os.environ.get("CI") == "true":  # noqa: TID251 - of the tests only
        pytest.fail(f"CI has to run these tests: {install}")
    pytest.skip(install)


@pytest.fixture(scope="session")
def node_packages() -> None:
    need(
        shutil.which("node") is not None and PACKAGES.is_dir(),
        "install Node.js 20 or newer with npm, then run `npm ci` in tests/sdk",
    )


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Instance(tmp_path_factory.mktemp("waymark") / "data") as instance:
        running = Platform(instance)
        # Events are taken before they can be searched for.
        until(
            lambda: running.call("GET", "/events").status_code == HTTPStatus.OK,
            within=30,
            what="the search answers",
        )
        yield running
        running.close()


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, platform: Platform, use: Use) -> dict[str, Outcome]:
    """The runs of all selected tests of the module by client and scenario, made together.

    ``use``: the module's own fixture that says how its clients are used.
    """
    asked: dict[str, tuple[Client, str]] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.module is request.module:
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            if "client" in parameters:
                client, scenario = parameters["client"], str(parameters["scenario"])
                assert isinstance(client, Client)
                asked[f"{client.name} {scenario}"] = client, scenario

    def one(client: Client, scenario: str) -> Outcome:
        run = prepare(platform, client, scenario)
        return execute(client, platform.url, scenario, run, use)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        ended = list(pool.map(one, *zip(*asked.values(), strict=True)))
    collect(platform, ended)
    return dict(zip(asked, ended, strict=True))
