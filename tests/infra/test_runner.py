"""The local runner, as a person uses it: start, kill this and that, start again, stop."""

import json
import os
import signal
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from infra.runner.__main__ import FAILED, IN_USE
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


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _ready(instance: Instance) -> bool:
    try:
        return httpx2.get(instance.credentials["url"] + "/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def test_it_starts_anywhere_stops_at_one_signal_and_starts_again(tmp_path: Path) -> None:
    """In a directory with a long path, below one that only its owner may enter."""
    parent = tmp_path / "private"
    parent.mkdir(mode=0o700)
    data = parent.joinpath(*["a-rather-long-directory-name-in-the-middle"] * 4, "data")
    data.parent.mkdir(parents=True)
    instance = Instance(data).start()
    first = instance.credentials
    processes = instance.processes
    assert set(processes) == EVERYTHING
    everything = [q for p in processes.values() for q in (p, *p.children(recursive=True))]
    socket = Path(json.loads((data / "postgres/socket").read_text()))
    assert socket.is_dir()
    assert len(os.fsencode(socket)) < 100
    assert _mode(parent) == 0o700
    assert _mode(data / "credentials.json") == 0o600
    assert instance.stop(within=15) == 0
    assert _gone(everything)
    assert not socket.exists()
    with instance.start():
        again = instance.credentials
        assert {**again, "url": ""} == {**first, "url": ""}
        assert again["url"] != first["url"], "the url follows the port"
        assert _ready(instance)


def test_a_second_instance_on_the_same_directory_is_refused(
    running: Instance, tmp_path: Path
) -> None:
    second = Instance(running.data_dir, output=tmp_path / "second.out").launch()
    assert second.wait(30) == IN_USE
    assert running.process is not None
    assert f"process {running.process.pid}" in second.output
    assert str(running.data_dir) in second.output
    assert _ready(running)


def test_a_taken_port_is_named(running: Instance, tmp_path: Path) -> None:
    port = int(running.credentials["url"].rpartition(":")[2])
    other = Instance(tmp_path / "other", port=port).launch()
    assert other.wait(30) == IN_USE
    assert f"Port {port} is in use" in other.output


def test_another_instance_runs_beside_it(running: Instance, tmp_path: Path) -> None:
    with Instance(tmp_path / "other") as other:
        assert other.credentials["workspace_id"] != running.credentials["workspace_id"]
        assert _ready(other)
        assert _ready(running)


@pytest.mark.parametrize("name", sorted(EVERYTHING))
def test_a_killed_child_comes_back(running: Instance, name: str) -> None:
    killed = running.running(name)
    killed.send_signal(signal.SIGKILL)

    def started_again() -> bool:
        # One look: between two the old process may go.
        process = running.processes.get(name)
        return process is not None and process.pid != killed.pid

    until(started_again, within=30, what=f"{name} was started again")
    until(lambda: _ready(running), within=60, what="the gateway is ready again")
    assert f"{name} ended" in running.output


def test_events_that_a_killed_store_left_in_its_scratch_directory_are_gone(
    running: Instance,
) -> None:
    scratch = running.data_dir / "tmp"
    left = scratch / "tmpabc.raw"

    def written() -> bool:
        # A store that a test before this one killed may be on its way back.
        try:
            left.write_text("events")
        except FileNotFoundError:
            return False
        return True

    until(lambda: _ready(running), within=60.0, what="everything runs")
    until(written, within=60.0, what="the scratch directory is there")
    killed = running.running("tracking-store")
    killed.kill()
    # It is emptied before the store starts: by then, and not in between, there is one to look at.
    until(lambda: running.running("tracking-store") != killed, within=60.0, what="it runs again")
    assert not left.exists()
    assert _mode(scratch) == 0o700


def test_what_a_killed_runner_left_blocks_nothing(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").start()
    credentials, left = instance.credentials, list(instance.processes.values())
    assert instance.stop(signal.SIGKILL) == -signal.SIGKILL
    with instance.start():
        assert _gone(left)
        assert _ready(instance)
        assert instance.credentials["secret_key"] == credentials["secret_key"]


def test_interrupting_a_start_leaves_nothing_behind(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").launch()
    record = tmp_path / "data/run/processes.json"
    until(record.exists, within=60, what="Postgres was started")
    left = list(instance.processes.values())
    assert instance.stop(signal.SIGINT, within=15) == 0
    assert _gone(left)


def test_it_stops_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    """As when somebody kills `make run` itself."""
    command = ("sh", "-c", '"$0" -m infra.runner --tied; true', sys.executable)
    instance = Instance(tmp_path / "data", command=command).start()
    left = list(instance.processes.values())
    assert instance.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: _gone(left), within=15, what="all processes have ended")


@pytest.mark.parametrize(
    ("variable", "value"), [("PORT", "eighty"), ("PORT", "65536"), ("DATA_DIR", "a?b")]
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, variable: str, value: str) -> None:
    instance = Instance(tmp_path / "data", environment={variable: value}).launch()
    assert instance.wait(30) == FAILED
    assert f"{variable}: " in instance.output
    assert "Traceback" not in instance.output
