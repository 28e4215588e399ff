"""Processes under load for the benchmarks: durable PostgreSQL, services as `make run` has them."""

import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from gateway.bootstrap import bootstrap
from infra.runner.cluster import Cluster
from infra.runner.ports import LOOPBACK, Ports
from tests.support.app import signing_key, trusted_keys
from tests.support.postgres import Database, DatabaseServer
from tests.support.waiting import until

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 60.0


@dataclass
class Served:
    """One process of a service."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def rss_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@dataclass
class Stack:
    """``serve`` starts processes on databases of their own; all end with ``running``."""

    home: Path
    server: DatabaseServer
    tracking: Database
    gateway: Database
    profiles: Database
    ports: Ports = field(default_factory=Ports)
    served: list[Served] = field(default_factory=list)

    def serve(self, app: str, **environment: str) -> Served:
        port = self.ports.reserve()
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.runner.serve", app, str(port), str(os.getpid())],
            cwd=REPOSITORY,
            env={**_INHERITED, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        one = Served(f"http://{LOOPBACK}:{port}", process)
        self.served.append(one)
        until(lambda: _alive(one), within=START_SECONDS, what=f"{app} answers")
        return one

    def ingest(self) -> Served:
        return self.serve("services.tracking.main:create_app", **self._tracking("ingest"))

    def store(self) -> Served:
        return self.serve("services.tracking.main:create_app", **self._tracking("store"))

    def profile(self, ingest: Served, store: Served) -> Served:
        return self.serve(
            "services.profile.main:create_app",
            PROFILE_POSTGRES_DSN=self.profiles.app_dsn,
            PROFILE_TRACKING_STORE_URL=store.url,
            PROFILE_TRACKING_INGEST_URL=ingest.url,
            # Nobody withdraws a consent here.
            PROFILE_ORCHESTRATOR_URL=ingest.url,
            PROFILE_LINK_KEY="a key of this benchmark",
            PROFILE_ERASURE_KEY="a key of this benchmark",
            PROFILE_SIGNING_KEY=signing_key("profile"),
            PROFILE_TRUSTED_KEYS=json.dumps(trusted_keys()),
            PROFILE_LOG_LEVEL="WARNING",
        )

    def door(self, ingest: Served) -> tuple[Served, dict[str, str]]:
        """The gateway before ``ingest``, and the keys of a new workspace."""
        keys = asyncio.run(bootstrap(self.gateway.app_dsn, "Bench"))
        others = ("TRACKING_STORE", "PROFILE", "ORCHESTRATOR", "ASSESSMENT")
        environment = {f"GATEWAY_{name}_URL": ingest.url for name in others}
        served = self.serve(
            "gateway.main:create_app",
            GATEWAY_POSTGRES_DSN=self.gateway.app_dsn,
            GATEWAY_TRACKING_INGEST_URL=ingest.url,
            GATEWAY_SIGNING_KEY=signing_key("gateway"),
            GATEWAY_TRUSTED_KEYS=json.dumps(trusted_keys()),
            GATEWAY_LOG_LEVEL="WARNING",
            **environment,
        )
        return served, keys

    @property
    def postgres_cpu_seconds(self) -> float:
        """Of the server's processes that live; connections live as long as a benchmark."""
        assert self.server.cluster.process is not None
        main = psutil.Process(self.server.cluster.process.pid)
        total = 0.0
        for each in [main, *main.children(recursive=True)]:
            try:
                times = each.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def seen_ids(self) -> Path:
        return self.home / "seen-ids"

    def _tracking(self, role: str) -> Mapping[str, str]:
        return {
            "TRACKING_ROLE": role,
            "TRACKING_POSTGRES_DSN": self.tracking.app_dsn,
            "TRACKING_CLICKHOUSE_DSN": f"chdb://{self.home / 'chdb'}",
            "TRACKING_SEEN_IDS_DIR": str(self.seen_ids()),
            "TRACKING_ERASURE_KEY": "a key of this benchmark",
            "TRACKING_SIGNING_KEY": signing_key("tracking"),
            "TRACKING_TRUSTED_KEYS": json.dumps(trusted_keys()),
            "TRACKING_LOG_LEVEL": "WARNING",
        }


@contextmanager
def running(home: Path) -> Iterator[Stack]:
    """PostgreSQL as the product runs it: an acknowledged commit is on disk."""
    cluster = Cluster(home / "postgres", log=home / "postgres.log")
    cluster.start()
    try:
        server = DatabaseServer(cluster)
        tracking, gateway, profiles = map(server.create, ("tracking", "gateway", "profile"))
        stack = Stack(home, server, tracking, gateway, profiles)
        try:
            yield stack
        finally:
            for one in stack.served:
                if one.process.poll() is None:
                    one.stop()
    finally:
        cluster.stop()


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return {
        "cpu": ", ".join(sorted(names)) or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def _alive(one: Served) -> bool:
    assert one.process.poll() is None, "the process ended"
    try:
        return httpx2.get(f"{one.url}/livez", timeout=2.0).status_code < 500
    except httpx2.TransportError:
        return False


_INHERITED = dict(os.environ)  # noqa: TID251 - handed on, not read
