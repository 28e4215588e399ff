"""Starts everything in order, keeps it running, stops everything in the opposite order."""

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from infra.runner import credentials as credentials_file
from infra.runner import keys as instance_keys
from infra.runner.child import Backoff, Child, rotate, start
from infra.runner.cluster import Cluster
from infra.runner.credentials import Credentials
from infra.runner.files import private_directory, read_json, write_private
from infra.runner.lock import InstanceLock
from infra.runner.ports import Ports
from infra.runner.processes import Identity, end, find, identify
from infra.runner.signals import Signals, StopRequested
from infra.runner.topology import PACKAGES, Topology, plan

_READY_SECONDS = 120.0
_POSTGRES_SECONDS = 120.0
_UPKEEP_SECONDS = 10.0
# The stop has 15 seconds: the edge first, then the services together, Postgres last.
_EDGE_STOP_SECONDS = 4.5
_SERVICES_STOP_SECONDS = 5.0
_POSTGRES_STOP_SECONDS = 4.0


class StartFailed(Exception):
    """Something did not come up; the message says what and shows its last lines."""


class Supervisor:
    """One instance on one data directory. `run` returns when it was asked to stop."""

    def __init__(self, data_dir: Path, port: int, say: Callable[[str], None]) -> None:
        self._data_dir = data_dir
        self._port = port
        self._say = say
        self._run_dir = data_dir / "run"
        self._logs = data_dir / "logs"
        self._signals = Signals()
        self._ports = Ports()
        self._cluster = Cluster(data_dir / "postgres", log=self._logs / "postgres.log")
        self._postgres_backoff = Backoff()
        self._postgres_started = 0.0
        self._children: list[Child] = []

    def run(self, on_ready: Callable[[Credentials, Topology], None]) -> None:
        """Start, announce with `on_ready`, supervise until a stop signal, stop."""
        with InstanceLock(self._data_dir) as lock, self._signals:
            try:
                on_ready(*self._start())
                lock.announce("ready")
                self._supervise()
            except StopRequested:
                self._say("Stopping …")
            finally:
                lock.announce("stopping")
                self._stop()

    def _start(self) -> tuple[Credentials, Topology]:
        for directory in (self._run_dir, self._logs):
            private_directory(directory)
        self._end_orphans()
        # Before anything is started: a taken port is the commonest reason to give up.
        port = self._ports.reserve(self._port)
        keys = instance_keys.load_or_create(self._data_dir / "keys")
        self._cluster.prepare()
        topology = plan(self._data_dir, port, self._ports, self._cluster, keys)
        self._spawn_postgres()
        self._children = [
            Child(spec, self._logs / f"{spec.name}.log") for spec in topology.children
        ]
        # They load their code meanwhile, and wait to be released. Callees first: the gateway then
        # finds its neighbours the first time it looks.
        for child in reversed(self._children):
            self._spawn(child, hold=True)
        self._await_postgres()
        self._cluster.ensure_services(
            {service: (each.owner_password, each.app_password) for service, each in keys.items()}
        )
        migrate = ["-m", "services.kit.migrate", *PACKAGES.values()]
        self._python("migrations", migrate, topology)
        for child in self._children:
            child.release()
        credentials = self._credentials(topology)
        self._await_children()
        return credentials, topology

    def _credentials(self, topology: Topology) -> Credentials:
        path = self._data_dir / "credentials.json"
        stored = credentials_file.load(path, topology.gateway.url)
        if stored is not None:
            return stored
        printed = self._python("bootstrap", ["-m", "gateway.bootstrap"], topology)
        credentials = credentials_file.made(topology.gateway.url, printed)
        credentials_file.save(path, credentials)
        return credentials

    def _python(self, name: str, arguments: Sequence[str], topology: Topology) -> bytes:
        """Run a one-off command with the owners' and the gateway's variables; its output."""
        log, output = self._logs / f"{name}.log", self._run_dir / f"{name}.out"
        defaults = {**topology.migrations, **topology.gateway.defaults}
        with output.open("w+b") as sink:
            output.chmod(0o600)
            process = start(arguments, log, defaults, stdout=sink.fileno())
            try:
                while process.poll() is None:
                    self._signals.pause(0.5)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            sink.seek(0)
            said = sink.read()
        output.unlink()
        if process.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise StartFailed(f"{name} failed (exit {process.returncode}), see {log}:\n{tail}")
        return said

    def _await_postgres(self) -> None:
        deadline = monotonic() + _POSTGRES_SECONDS
        while not self._cluster.ready():
            self._signals.pause(0.03)
            process = self._cluster.process
            if process is None or process.poll() is not None or monotonic() > deadline:
                raise StartFailed(f"Postgres did not start, see {self._cluster.log}")

    def _await_children(self) -> None:
        deadline = monotonic() + _READY_SECONDS
        waiting = list(reversed(self._children))
        while waiting:
            waiting = [child for child in waiting if not child.ready()]
            for child in self._children:
                if child.poll() is not None or (waiting and monotonic() > deadline):
                    child = child if not child.running else waiting[0]
                    raise StartFailed(
                        f"{child.spec.name} did not become ready ({child.unready}), "
                        f"see {child.log}:\n{child.last_words()}"
                    )
            if waiting:
                self._signals.pause(0.1)

    def _supervise(self) -> None:
        next_upkeep = monotonic()
        while True:
            self._signals.pause(self._seconds_until_due())
            self._tend_postgres()
            for child in self._children:
                code = child.poll()
                if code is not None:
                    self._say(f"{child.spec.name} ended (exit {code}): starting it again")
                if not child.running and monotonic() >= child.due:
                    self._spawn(child)
            if monotonic() >= next_upkeep:
                next_upkeep = monotonic() + _UPKEEP_SECONDS
                for log in self._logs.glob("*.log"):
                    rotate(log)

    def _seconds_until_due(self) -> float:
        due = [child.due - monotonic() for child in self._children if not child.running]
        return max(0.0, min([1.0, *due]))

    def _tend_postgres(self) -> None:
        process = self._cluster.process
        if process is None or process.poll() is None:
            return
        self._say(f"postgres ended (exit {process.returncode}): starting it again")
        self._signals.pause(self._postgres_backoff.next(monotonic() - self._postgres_started))
        # Backends outlive a killed postmaster for a moment, and it must not start beside them.
        self._cluster.clear_remains()
        self._spawn_postgres()

    def _spawn_postgres(self) -> None:
        self._postgres_started = monotonic()
        self._cluster.spawn()
        self._record()

    def _spawn(self, child: Child, *, hold: bool = False) -> None:
        child.spawn(hold=hold)
        self._record()

    def _record(self) -> None:
        """Write down what runs, for the next start (and for people): name, id, start time."""
        postgres = self._cluster.process
        identities = {child.spec.name: child.identity for child in self._children}
        identities["postgres"] = identify(postgres.pid) if postgres is not None else None
        record = {name: each.to_json() for name, each in identities.items() if each is not None}
        write_private(self._run_dir / "processes.json", json.dumps(record, indent=2))

    def _end_orphans(self) -> None:
        """Stop services of a runner that was killed; `Cluster.prepare` does so for Postgres."""
        recorded = read_json(self._run_dir / "processes.json") or {}
        found = [find(Identity(**each)) for name, each in recorded.items() if name != "postgres"]
        orphans = [process for process in found if process is not None]
        if orphans:
            self._say(f"Stopping {len(orphans)} processes left by an earlier run …")
            end(orphans, [(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])

    def _stop(self) -> None:
        edge, behind = self._children[:1], self._children[1:]
        self._end(edge, _EDGE_STOP_SECONDS)
        self._end(behind, _SERVICES_STOP_SECONDS)
        self._cluster.stop(_POSTGRES_STOP_SECONDS)
        self._ports.close()
        (self._run_dir / "processes.json").unlink(missing_ok=True)

    def _end(self, children: Sequence[Child], seconds: float) -> None:
        for signum, limit in ((signal.SIGTERM, seconds), (signal.SIGKILL, 1.0)):
            deadline = monotonic() + limit
            for child in children:
                child.signal(signum)
            while any(child.running for child in children) and monotonic() < deadline:
                for child in children:
                    child.poll()
                self._signals.wait(0.1)
