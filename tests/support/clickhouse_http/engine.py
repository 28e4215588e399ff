"""Runs what an HTTP request asks of ClickHouse on chDB, with the request's user and settings."""

import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb
from chdb.state.sqlitelike import Connection

# Typed or not: two packages bring a file of this name, and either may be there.
_connect: Any = chdb.connect

USERS = {
    "default": ("", 0),
    "writer": ("write", 0),
    "reader": ("read", 1),
    "viewer": ("view", 2),
}
"""Name → password and the ``readonly`` of its profile, as on a server that has such users."""

TRANSPORT = frozenset(
    {
        *("query", "query_id", "database", "user", "password", "quota_key", "session_id"),
        *("session_timeout", "session_check", "wait_end_of_query", "buffer_size", "compress"),
        *("decompress", "client_protocol_version", "role", "enable_http_compression"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms"),
        "cancel_http_readonly_queries_on_client_close",
    }
)
"""What of a URL is for the server itself; the rest are settings and ``param_…``."""

_CODE = re.compile(r"\bCode:\s*(\d+)")
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_INSERT = re.compile(r"\s*INSERT\s+INTO\b", re.IGNORECASE)
_INSERT_WITH_DATA = re.compile(
    rb"(\s*INSERT\s+INTO\s[^\n]*?\bFORMAT\s+\w+)\s*\n(.*)", re.IGNORECASE | re.DOTALL
)

CLUSTER = "customers"
# Nothing listens there: an address with the own port is taken for oneself.
_CONFIG = f"""<clickhouse><tcp_port>9000</tcp_port><remote_servers><{CLUSTER}><shard><replica>
<host>127.0.0.1</host><port>9000</port>
</replica></shard></{CLUSTER}></remote_servers></clickhouse>"""
_PLAYED = (
    (re.compile(rf" ON CLUSTER '{CLUSTER}'"), ""),
    (re.compile(r"\bReplicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?"), r"\1("),
    (re.compile(r", replicated_deduplication_window_seconds = \d+"), ""),
    (re.compile(r"\breplicated_deduplication_window\b"), "non_replicated_deduplication_window"),
)
"""It plays a cluster of one node: ``Distributed`` is real; there is no Keeper, so replicas and
``ON CLUSTER`` are not."""


class Refused(Exception):
    """An answer of ClickHouse that is an error: its number, and its text as a server writes it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Statement:
    sql: str
    data: bytes = b""
    url: Mapping[str, str] = field(default_factory=dict)
    readonly: int = 0

    @classmethod
    def of(cls, url: Mapping[str, str], body: bytes, readonly: int) -> "Statement":
        """A query is in the URL, in the body, or begins in the one and goes on in the other."""
        if "query" in url:
            return cls(url["query"], body, url, readonly)
        inline = _INSERT_WITH_DATA.match(body)
        if inline:
            return cls(inline[1].decode(), inline[2], url, readonly)
        return cls(body.decode(), b"", url, readonly)

    @property
    def inserts(self) -> bool:
        return _INSERT.match(self.sql) is not None

    @property
    def format(self) -> str:
        found = _FORMAT.search(self.sql)
        return found[1] if found else self.url.get("default_format", "TabSeparated")


@dataclass
class Answer:
    body: bytes
    format: str
    rows: int
    """Read by the statement: for an insert, as many as it wrote."""


class Engine:
    """The directory's one owner; each statement has a handle of its own, so nothing leaks."""

    def __init__(self, path: str, scratch: Path) -> None:
        config = scratch / "cluster.xml"
        config.write_text(_CONFIG)
        self._path = f"{path}?config-file={config}"
        self._scratch = scratch
        # One that stays open keeps the engine.
        self._anchor = _connect(self._path)
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def run(self, statement: Statement, before: Callable[[], None] | None = None) -> Answer:
        """Raises ``Refused``. ``before`` is called when the query counts as running already."""
        url = statement.url
        with self._known_as(url.get("query_id", ""), url.get("session_id", "")):
            if before:
                before()
            try:
                return self._run(statement)
            except RuntimeError as error:
                found = _CODE.search(str(error))
                text = str(error)[found.start() :] if found else f"Code: 1000. {error}"
                raise Refused(int(found[1]) if found else 1000, text) from error

    @property
    def running(self) -> int:
        with self._lock:
            return len(self._running)

    @contextmanager
    def _known_as(self, query_id: str, session_id: str) -> Iterator[None]:
        names = {name for name in (query_id, session_id) if name}
        with self._lock:
            if query_id in self._running:
                raise _refused(
                    216,
                    f"Query with id = {query_id} is already running. "
                    "(QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)",
                )
            if session_id in self._running:
                raise _refused(
                    373,
                    f"Session {session_id} is locked by a concurrent client. (SESSION_IS_LOCKED)",
                )
            self._running |= names
        try:
            yield
        finally:
            with self._lock:
                self._running -= names

    def _run(self, statement: Statement) -> Answer:
        handle = _connect(self._path)
        try:
            if statement.readonly:
                handle.query(f"SET readonly = {statement.readonly}")
            if "database" in statement.url:
                handle.query(f"USE `{statement.url['database']}`")
            own = {k: v for k, v in statement.url.items() if not k.startswith("param_")}
            # Last, as the server checks the others against what holds before the request.
            for name in sorted(own.keys() - TRANSPORT, key=lambda n: n == "readonly"):
                handle.query(f"SET {name} = '{_quoted(own[name])}'")
            return self._execute(handle, statement)
        finally:
            handle.close()

    def _execute(self, handle: Connection, statement: Statement) -> Answer:
        binds = {k[6:]: v for k, v in statement.url.items() if k.startswith("param_")}
        if not (statement.inserts and statement.data):
            sql = statement.sql
            for pattern, played in _PLAYED:
                sql = pattern.sub(played, sql)
            result = handle.query(sql, statement.format, params=binds)
            return Answer(result.bytes() or b"", statement.format, result.rows_read())
        with tempfile.NamedTemporaryFile(dir=self._scratch) as file:
            file.write(statement.data)
            file.flush()
            head = _FORMAT.sub("", statement.sql)
            result = handle.query(f"{head} FROM INFILE '{file.name}' FORMAT {statement.format}")
        return Answer(b"", statement.format, result.rows_read())


def _refused(code: int, text: str) -> Refused:
    return Refused(code, f"Code: {code}. DB::Exception: {text}")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
