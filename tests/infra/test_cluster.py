"""The embedded Postgres after everything that can have gone wrong before its start."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest

from infra.runner import privilege
from infra.runner.cluster import Cluster, installed_binaries
from infra.runner.processes import working_in
from tests.support.waiting import until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "postgres", log=tmp_path / "log")
    made.start()
    yield made
    made.stop()


def _again(cluster: Cluster) -> Cluster:
    """The same data directory for a runner that knows nothing of the one before."""
    return Cluster(cluster.home, log=cluster.log)


def test_it_keeps_its_promises_on_disk_and_listens_to_nobody_outside(cluster: Cluster) -> None:
    shown = "SHOW fsync; SHOW synchronous_commit; SHOW data_checksums; SHOW listen_addresses;"
    assert cluster.psql(shown).split("\n")[:4] == ["on", "on", "on", ""]
    assert cluster.psql("SHOW server_version").startswith("18.")


def test_nobody_gets_in_without_a_password(cluster: Cluster) -> None:
    command = [str(cluster.persona.binaries / "psql"), "-w", "-h", str(cluster.socket)]
    done = subprocess.run(
        [*command, "-U", "postgres", "-c", "SELECT 1"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "password" in done.stderr
    assert cluster.socket.stat().st_mode & 0o777 == 0o700


def test_after_a_killed_postmaster_a_new_one_starts_and_has_the_data(cluster: Cluster) -> None:
    cluster.psql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    assert cluster.process is not None
    cluster.process.kill()
    cluster.process.wait()
    new = _again(cluster)
    new.start()
    assert new.psql("SELECT n FROM kept").strip() == "7"
    new.stop()


def test_a_server_that_outlived_its_runner_is_stopped_first(cluster: Cluster) -> None:
    old = cluster.process
    assert old is not None
    new = _again(cluster)
    new.start()
    assert old.wait(5) is not None
    new.stop()
    assert working_in(new.persona.data) == []


def test_a_pid_file_that_names_a_stranger_blocks_nothing(cluster: Cluster) -> None:
    pid_file = cluster.persona.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    cluster.stop()
    # Of the server's own user: Postgres takes another user's process for no server anyway.
    command = [*cluster.persona.prefix, "tail", "-f", "/dev/null"]
    stranger = subprocess.Popen(command, cwd="/")
    try:
        until(lambda: _runs_as(stranger.pid, "tail"), within=10, what="the stranger runs")
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        new = _again(cluster)
        new.start()
        new.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def _runs_as(pid: int, name: str) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().strip() == name


def test_an_interrupted_first_start_is_repeated(tmp_path: Path) -> None:
    home = tmp_path / "postgres"
    half = home / "data.draft"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    cluster = Cluster(home, log=tmp_path / "log")
    cluster.start()
    assert cluster.psql("SELECT 1").strip() == "1"
    cluster.stop()


@as_root
@pytest.mark.parametrize("way", ["with_capability", "in_namespace", "in_state_directory"])
def test_each_way_of_not_being_root_works_below_a_private_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    # A directory that everybody may enter, as /var/lib is; pytest keeps its own to itself.
    state = Path(tempfile.mkdtemp(prefix="waymark-state-"))
    ways: dict[str, privilege.Way] = {
        "with_capability": privilege.with_capability,
        "in_namespace": privilege.in_namespace,
        "in_state_directory": partial(privilege.in_state_directory, state=state),
    }
    persona = ways[way](installed_binaries(), private / "postgres" / "data")
    assert persona is not None
    monkeypatch.setattr("infra.runner.cluster.choose", Mock(return_value=persona))
    cluster = Cluster(private / "postgres", log=tmp_path / "log")
    cluster.start()
    assert cluster.process is not None
    status = Path(f"/proc/{cluster.process.pid}/status").read_text()
    capabilities = next(line for line in status.splitlines() if line.startswith("CapEff"))
    dac_override = 1 << 1
    assert int(capabilities.split()[1], 16) & ~dac_override == 0
    cluster.process.send_signal(signal.SIGINT)
    cluster.stop()
    shutil.rmtree(state)
    assert private.stat().st_mode & 0o777 == 0o700


@as_root
def test_the_data_changes_hands_when_the_way_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "postgres"
    for way in (privilege.with_capability, privilege.in_namespace, privilege.with_capability):
        persona = way(installed_binaries(), home / "data")
        assert persona is not None
        with monkeypatch.context() as patch:
            patch.setattr("infra.runner.cluster.choose", Mock(return_value=persona))
            cluster = Cluster(home, log=tmp_path / "log")
            cluster.start()
        assert cluster.psql("SELECT 1").strip() == "1"
        cluster.stop()


def test_without_any_way_the_refusal_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(privilege.NoWayToDropRoot, match="ordinary user"):
        privilege.choose(installed_binaries(), tmp_path / "data", ways=())
