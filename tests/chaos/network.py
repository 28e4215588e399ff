"""R2: the connections between processes are cut, silenced, slowed and reset."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from infra.runner import keys as instance_keys
from infra.runner.ports import LOOPBACK
from tests.chaos.world import World
from tests.support.faultproxy import Address, FaultProxy, Faults
from tests.support.instance import Instance
from tests.support.waiting import until

LINKS = (
    "gateway-ingest",
    "tracking-postgres",
    "profile-store",
    "store-profile",
    "profile-postgres",
)
FAULTS = ("cut", "half-open", "latency", "resets")
LATENCY = Faults(latency_seconds=0.5)
RESETS = Faults(reset_share=0.01)
TRUE_HALF_OPEN_SECONDS = 60.0
_PROGRESS_SECONDS = 120.0


class Links:
    """A fault proxy on every link, put there by the services' own settings: ``environment``."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        # To look up who listens where; it is started by somebody else.
        self._instance = Instance(data_dir)
        self._stack = ExitStack()
        self.proxies: dict[str, FaultProxy] = {}

    def __enter__(self) -> "Links":
        upstreams: Mapping[str, Callable[[], Address | None]] = {
            "gateway-ingest": lambda: self._service("tracking-ingest"),
            "tracking-postgres": self._postgres,
            "profile-store": lambda: self._service("tracking-store"),
            "store-profile": lambda: self._service("profile"),
            "profile-postgres": self._postgres,
        }
        for name, upstream in upstreams.items():
            self.proxies[name] = self._stack.enter_context(FaultProxy(upstream))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def environment(self) -> Mapping[str, str]:
        urls = {name: f"http://{LOOPBACK}:{proxy.port}" for name, proxy in self.proxies.items()}
        # The instance would make them at its first start.
        made = instance_keys.load_or_create(self._data_dir / "keys")
        databases = {
            f"{service.upper()}_POSTGRES_DSN": f"postgresql+asyncpg://{service}_app:"
            f"{made[service].app_password}@{LOOPBACK}:"
            f"{self.proxies[f'{service}-postgres'].port}/{service}"
            for service in ("tracking", "profile")
        }
        return {
            "GATEWAY_TRACKING_INGEST_URL": urls["gateway-ingest"],
            "PROFILE_TRACKING_STORE_URL": urls["profile-store"],
            "TRACKING_PROFILE_URL": urls["store-profile"],
            **databases,
        }

    def _service(self, name: str) -> Address | None:
        if not (self._data_dir / "run/processes.json").exists():
            return None
        try:
            process = self._instance.processes.get(name)
            arguments = process.cmdline() if process else []
        except psutil.NoSuchProcess:
            # Killed between the two looks.
            return None
        # `serve` is told its port in the argument before the last one; a corpse has none.
        return (LOOPBACK, int(arguments[-2])) if arguments else None

    def _postgres(self) -> Address | None:
        record = self._data_dir / "postgres/socket"
        if not record.exists():
            return None
        return Path(json.loads(record.read_text())) / ".s.PGSQL.5432"


def run(
    world: World, links: Links, seed: int, *, cycles: int, half_open_60_s: bool
) -> dict[str, Any]:
    """``cycles`` by fault, each on a random link while a producer sends; between two cycles events
    are acknowledged again. ``half_open_60_s``: one more, as long as it is promised."""
    choose = random.Random(f"network {seed}")  # noqa: S311
    done: Counter[str] = Counter()
    began = time.monotonic()
    with world.producer(
        f"R2-{seed}", largest_batch=20, connections=16, think_seconds=0.2
    ) as producer:
        for turn in range(cycles):
            link, fault = choose.choice(LINKS), FAULTS[turn % len(FAULTS)]
            _break(links.proxies[link], fault, 0.3 + choose.random() * 1.7)
            done[f"{fault} {link}"] += 1
            known = producer.ledger.acknowledged_events
            until(
                lambda known=known: producer.ledger.acknowledged_events > known,  # type: ignore[misc]
                within=_PROGRESS_SECONDS,
                what=f"an acknowledgement after {fault} of {link} (turn {turn})",
            )
        if half_open_60_s:
            for proxy in links.proxies.values():
                proxy.half_open()
            time.sleep(TRUE_HALF_OPEN_SECONDS)
            for proxy in links.proxies.values():
                proxy.heal()
            done["half-open all links 60 s"] += 1
        producer.end()
    return {"seconds": round(time.monotonic() - began, 1), "cycles": dict(done)}


def _break(proxy: FaultProxy, fault: str, seconds: float) -> None:
    match fault:
        case "cut":
            proxy.cut()
        case "half-open":
            proxy.half_open()
        case "latency":
            proxy.faults = LATENCY
        case "resets":
            proxy.faults = RESETS
    time.sleep(seconds)
    proxy.heal()
