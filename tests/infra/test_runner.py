"""The local runner, as a person uses it: start, kill this and that, start again, stop."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from infra.runner.__main__ import IN_USE
from tests.support.instance import Instance
from tests.support.waiting import until

EVERYTHING = {
    "gateway",
    "tracking-ingest",
    "tracking-store",
    "profile",
    "orchestrator",
    "assessment",
    "postgres",
}


def _gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def _ready(instance: Instance) -> bool:
    try:
        return httpx2.get(instance.credentials["url"] + "/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def test_everything_runs_and_one_signal_stops_all_of_it(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").start()
    processes = instance.processes
    assert set(processes) == EVERYTHING
    everything = [q for p in processes.values() for q in (p, *p.children(recursive=True))]
    socket = Path((tmp_path / "data/postgres/socket").read_text().strip('"'))
    assert socket.is_dir()
    assert instance.stop(within=15) == 0
    assert _gone(everything)
    assert not socket.exists()
    assert "Stopped." in instance.output


def test_a_second_instance_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with Instance(tmp_path / "data") as first:
        second = Instance(tmp_path / "data")
        second._output = tmp_path / "second.out"
        assert second.launch().process is not None
        assert second.process is not None
        assert second.process.wait(20) == IN_USE
        assert first.process is not None
        assert f"process {first.process.pid}" in second.output
        assert str(tmp_path / "data") in second.output
        assert _ready(first)


def test_two_instances_run_side_by_side(tmp_path: Path) -> None:
    with Instance(tmp_path / "one") as one, Instance(tmp_path / "two") as two:
        assert one.credentials["url"] != two.credentials["url"]
        assert _ready(one)
        assert _ready(two)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with Instance(tmp_path / "one") as one:
        port = int(one.credentials["url"].rpartition(":")[2])
        two = Instance(tmp_path / "two", port=port).launch()
        assert two.process is not None
        assert two.process.wait(20) == IN_USE
        assert f"Port {port} is in use" in two.output


@pytest.mark.parametrize("name", sorted(EVERYTHING))
def test_a_killed_child_comes_back(running: Instance, name: str) -> None:
    killed = running.processes[name]
    killed.send_signal(signal.SIGKILL)
    until(
        lambda: name in running.processes and running.processes[name].pid != killed.pid,
        within=10,
        what=f"{name} was started again",
    )
    until(lambda: _ready(running), within=20, what="the gateway is ready again")
    assert f"{name} ended" in running.output


def test_what_a_killed_runner_left_blocks_nothing(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").start()
    credentials, left = instance.credentials, list(instance.processes.values())
    assert instance.stop(signal.SIGKILL) == -signal.SIGKILL
    with instance.start():
        assert _gone(left)
        assert _ready(instance)
        new = instance.credentials
        assert {**new, "url": ""} == {**credentials, "url": ""}


def test_a_killed_runner_and_a_killed_postgres_block_nothing(tmp_path: Path) -> None:
    """Then nobody is left to tell the backends, and the pid file names a dead process."""
    instance = Instance(tmp_path / "data").start()
    postmaster = instance.processes["postgres"]
    assert instance.process is not None
    instance.process.send_signal(signal.SIGSTOP)
    postmaster.send_signal(signal.SIGKILL)
    instance.stop(signal.SIGKILL)
    with instance.start():
        assert _ready(instance)


def test_a_pid_file_that_names_a_stranger_blocks_nothing(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").start()
    data = Path(instance.processes["postgres"].cwd())
    pid_file = (data / "postmaster.pid").read_text().splitlines()
    instance.stop()
    stranger = subprocess.Popen(["tail", "-f", "/dev/null"])
    try:
        (data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *pid_file[1:]]) + "\n")
        with instance.start():
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_long_path_under_a_private_parent_works(tmp_path: Path) -> None:
    parent = tmp_path / "private"
    parent.mkdir(mode=0o700)
    data = parent.joinpath(*["a-rather-long-directory-name-in-the-middle"] * 4, "data")
    data.parent.mkdir(parents=True)
    with Instance(data) as instance:
        assert _ready(instance)
        assert parent.stat().st_mode & 0o777 == 0o700
        assert (data / "credentials.json").stat().st_mode & 0o777 == 0o600
        socket = Path((data / "postgres/socket").read_text().strip('"'))
        assert len(os.fsencode(socket)) < 100


def test_the_url_follows_the_port(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").start()
    before = instance.credentials
    instance.stop()
    with instance.start():
        after = instance.credentials
    assert before["write_key"] == after["write_key"]
    assert before["url"] != after["url"]


def test_interrupting_a_start_leaves_nothing_behind(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").launch()
    record = tmp_path / "data/run/processes.json"
    until(record.exists, within=20, what="Postgres was started")
    left = list(instance.processes.values())
    assert instance.stop(signal.SIGINT, within=15) == 0
    assert _gone(left)
    with instance.start():
        assert _ready(instance)


def test_it_stops_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    command = ["sh", "-c", 'python=$0; "$python" -m infra.runner --tied; true']
    instance = Instance(tmp_path / "data", command=[*command, sys.executable]).start()
    left = list(instance.processes.values())
    instance.stop(signal.SIGKILL)
    until(lambda: _gone(left), within=15, what="all processes have ended")
    # The next start need not wait for that by itself: it is patient with one that is stopping.
    with instance.start():
        assert _ready(instance)
