"""Which processes make up Waymark on one machine, and what each is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.runner.cluster import Cluster
from infra.runner.keys import SERVICES, ServiceKeys, trusted_keys
from infra.runner.ports import LOOPBACK, Ports

PACKAGES = {name: name if name == "gateway" else f"services.{name}" for name in SERVICES}


@dataclass(frozen=True)
class ChildSpec:
    """One process: the service whose code and settings it uses, its port, what it is told.

    A user's own variables win over `defaults` (another database, say), never over `fixed`.
    """

    name: str
    service: str
    port: int
    defaults: Mapping[str, str]
    fixed: Mapping[str, str]

    @property
    def app(self) -> str:
        return f"{PACKAGES[self.service]}.main:create_app"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


@dataclass(frozen=True)
class Topology:
    """Everything that runs beside Postgres. The gateway comes first in `children`."""

    children: tuple[ChildSpec, ...]
    migrations: Mapping[str, str]
    metrics_port: int

    @property
    def gateway(self) -> ChildSpec:
        return self.children[0]

    @property
    def metrics(self) -> dict[str, str]:
        """URL of `/metrics` of each process by its name; all are on this machine only."""
        urls = {child.name: child.url for child in self.children}
        urls[self.gateway.name] = f"http://{LOOPBACK}:{self.metrics_port}"
        return {name: f"{url}/metrics" for name, url in urls.items()}


def plan(
    data_dir: Path, port: int, ports: Ports, cluster: Cluster, keys: dict[str, ServiceKeys]
) -> Topology:
    """Write every process's environment: the gateway on `port`, the others on free ports.

    `cluster` must be prepared: the database URLs name its socket.
    """
    internal = {
        name: ports.reserve()
        for name in ("tracking-ingest", "tracking-store", "profile", "orchestrator", "assessment")
    }
    urls = {
        f"{name.replace('-', '_').upper()}_URL": f"http://{LOOPBACK}:{number}"
        for name, number in internal.items()
    }
    trusted = trusted_keys(keys)
    metrics_port = ports.reserve()
    only = {
        "gateway": {"METRICS_PORT": str(metrics_port)},
        "tracking": {
            "CLICKHOUSE_DSN": f"chdb://{data_dir / 'chdb'}",
            "SEEN_IDS_DIR": str(data_dir / "seen-ids"),
            "ERASURE_KEY": keys["tracking"].hash_key,
        },
        "profile": {"LINK_KEY": keys["profile"].hash_key, "ERASURE_KEY": keys["profile"].hash_key},
        "orchestrator": {
            "PUBLIC_URL": f"http://{LOOPBACK}:{port}",
            "LINK_KEY": keys["orchestrator"].hash_key,
        },
    }

    def child(name: str, service: str, number: int, **fixed: str) -> ChildSpec:
        prefix = service.upper()
        defaults = {
            "POSTGRES_DSN": cluster.dsn(f"{service}_app", keys[service].app_password, service),
            "SIGNING_KEY": keys[service].signing_key,
            "TRUSTED_KEYS": trusted,
            # All neighbours' to all: a service reads those it declares.
            **urls,
            **only.get(service, {}),
        }
        named = {f"{prefix}_{key}": value for key, value in defaults.items()}
        return ChildSpec(name, service, number, named, fixed)

    children = (
        child("gateway", "gateway", port),
        child("tracking-ingest", "tracking", internal["tracking-ingest"], TRACKING_ROLE="ingest"),
        child(
            "tracking-store",
            "tracking",
            internal["tracking-store"],
            TRACKING_ROLE="store",
            # chDB writes events to temporary files and leaves them there when it is killed.
            TMPDIR=str(data_dir / "tmp"),
        ),
        *(child(name, name, internal[name]) for name in ("profile", "orchestrator", "assessment")),
    )
    migrations = {
        f"{service.upper()}_POSTGRES_OWNER_DSN": cluster.dsn(
            f"{service}_owner", keys[service].owner_password, service
        )
        for service in SERVICES
    }
    return Topology(children, migrations, metrics_port)
