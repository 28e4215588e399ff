"""What the runner tells each process is what that process asks for."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.runner import keys as instance_keys
from infra.runner.cluster import Cluster
from infra.runner.keys import SERVICES
from infra.runner.ports import LOOPBACK, Ports, PortTaken
from infra.runner.topology import PACKAGES, ChildSpec, Topology, plan
from services.kit.openapi import settings_class


@pytest.fixture
def ports() -> Iterator[Ports]:
    made = Ports()
    yield made
    made.close()


@pytest.fixture
def topology(tmp_path: Path, ports: Ports) -> Topology:
    cluster = Cluster(tmp_path / "postgres")
    cluster.socket = tmp_path
    keys = instance_keys.load_or_create(tmp_path / "keys")
    return plan(tmp_path, ports.reserve(), ports, cluster, keys)


def _told(child: ChildSpec) -> dict[str, str]:
    return {**child.defaults, **child.fixed}


def test_every_service_runs_and_each_process_has_a_port_of_its_own(topology: Topology) -> None:
    assert {child.service for child in topology.children} == set(SERVICES)
    used = {topology.metrics_port, *(child.port for child in topology.children)}
    assert len(used) == len(topology.children) + 1


def test_metrics_of_every_process_have_an_address_of_their_own(topology: Topology) -> None:
    assert topology.metrics.keys() == {child.name for child in topology.children}
    assert len(set(topology.metrics.values())) == len(topology.children)
    gateway = topology.metrics["gateway"]
    assert gateway == f"http://{LOOPBACK}:{topology.metrics_port}/metrics"


def test_each_settings_class_is_satisfied(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    for child in topology.children:
        with monkeypatch.context() as environment:
            for name, value in _told(child).items():
                environment.setenv(name, value)
            settings = settings_class(PACKAGES[child.service])()
        declared = {f"{child.service}_{field}".upper() for field in type(settings).model_fields}
        unknown = set(_told(child)) - declared - {"TMPDIR"}
        assert all(name.endswith("_URL") for name in unknown), unknown


def test_a_process_is_told_no_secret_of_another_service(topology: Topology) -> None:
    for child in topology.children:
        prefix = f"{child.service.upper()}_"
        assert all(name.startswith(prefix) for name in child.defaults)
        assert not any("OWNER" in name for name in child.defaults)
    assert {name.partition("_")[0].lower() for name in topology.migrations} == set(SERVICES)


def test_the_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    first = instance_keys.load_or_create(tmp_path / "keys")
    assert instance_keys.load_or_create(tmp_path / "keys") == first
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "keys").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_reserved_port_is_nobody_elses_and_its_server_may_come_and_go(ports: Ports) -> None:
    port = ports.reserve()
    for _ in range(2):
        with pytest.raises(PortTaken, match=str(port)):
            Ports().reserve(port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port))
        with socket.socket() as server:
            # As asyncio's servers do.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((LOOPBACK, port))
            server.listen()
            socket.create_connection((LOOPBACK, port)).close()
