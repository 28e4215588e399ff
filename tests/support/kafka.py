"""Kafka brokers for tests: librdkafka's mock cluster, in a process of its own.

It speaks the protocol of producing, fetching and listing, and knows neither CreateTopics nor
DeleteRecords: a topic is there (with several partitions) once it is written to, until the end.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest

_SERVE = """
import sys
from confluent_kafka import Producer

holder = Producer({"test.mock.num.brokers": 3, "log_level": 2})
brokers = holder.list_topics(timeout=10).brokers.values()
print(",".join(f"{each.host}:{each.port}" for each in brokers), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Brokers:
    servers: str
    process: subprocess.Popen[str]

    def dsn(self) -> str:
        """Of an empty log."""
        return f"kafka://{self.servers}/test-{uuid4().hex}?create_topics=false"

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Connections stay open meanwhile and nobody answers."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    """The worker's cluster of three."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    servers = process.stdout.readline().strip()
    yield Brokers(servers, process)
    process.stdin.close()
    process.wait(10)
