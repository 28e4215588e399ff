"""The process of one service, at its end."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx2

from infra.runner.ports import Ports
from tests.infra import polls
from tests.support.instance import REPOSITORY


def test_a_long_poll_under_way_at_a_stop_is_answered() -> None:
    ports = Ports()
    port = ports.reserve()
    serve = [sys.executable, "-m", "infra.runner.serve", "tests.infra.polls:create_app"]
    with (
        subprocess.Popen(
            [*serve, str(port), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        ) as process,
        ThreadPoolExecutor(1) as thread,
    ):
        assert process.stdout is not None
        transport = httpx2.HTTPTransport(retries=10)
        client = httpx2.Client(transport=transport, timeout=30)
        answer = thread.submit(client.get, f"http://127.0.0.1:{port}/poll")
        assert process.stdout.readline().strip() == polls.WAITING
        process.send_signal(signal.SIGTERM)
        assert answer.result().json() == {"rung": True}
        client.close()
    ports.close()
