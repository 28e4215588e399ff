"""Opens the driver's handles on ClickHouse: for writing, for reading only, for a sign of life."""

import fcntl
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ProgrammingError

Settings = Mapping[str, Any]

_LIMITS = {"max_execution_time": 60, "max_memory_usage": 2_000_000_000}
_READ_SECONDS = 70
"""Beyond ``max_execution_time``: the server gives up first and says so."""
_WRITE_SECONDS = 200
"""Beyond the 180 seconds that ClickHouse gives a statement on all nodes of a cluster."""
_PING_SECONDS = 5

KEEP_FREE_BYTES = 256 * 1024 * 1024
"""Of an embedded engine's disk: with less room it takes nothing and merges nothing (code 243)
until there is more. It must not meet the end of the disk: chDB 4.4 (ClickHouse 26.9) goes on when a
write fails there, and puts parts with empty files in the place of full ones."""
_CONFIG = f"""<clickhouse><storage_configuration><disks><default>
<keep_free_space_bytes>{KEEP_FREE_BYTES}</keep_free_space_bytes>
</default></disks></storage_configuration></clickhouse>
"""

_LOCKED_FILE = "status"
"""The engine's owner holds a lock on this file of the directory."""
_engine_left_behind = False


class DirectoryInUse(Exception):
    """Another process has this chDB directory open."""


class Forked(Exception):
    """A handle or the engine of the process that this one was forked from; it would wait for ever
    for threads that only the parent has."""

    def __init__(self) -> None:
        super().__init__(
            "ClickHouse was opened, or the embedded one loaded, before this process was forked, "
            "and cannot be used in it: start processes by spawn, or fork first."
        )


def _note_fork() -> None:
    global _engine_left_behind
    # Loading chDB starts its threads already.
    _engine_left_behind = "chdb" in sys.modules


os.register_at_fork(after_in_child=_note_fork)


def writer(dsn: str, settings: Settings) -> Client:
    client = _connect(dsn, _WRITE_SECONDS)
    _set(client, settings)
    return client


def reader(dsn: str, settings: Settings) -> Client:
    client = _connect(dsn, _READ_SECONDS)
    _set(client, {**_LIMITS, **settings})
    _set_read_only(client, dsn)
    return client


def pinger(dsn: str) -> Client:
    client = _connect(dsn, _PING_SECONDS)
    _set_read_only(client, dsn)
    return client


def _connect(dsn: str, seconds: int) -> Client:
    if _embedded(dsn):
        return _open_embedded(dsn)
    # The driver tells by the port alone whether to encrypt, whatever the DSN says.
    secure = urlsplit(dsn).scheme in ("https", "clickhouses")
    # No session: a call that was given up may still run on the server, and a session takes one
    # call at a time; behind a balancer it would also belong to one server.
    return clickhouse_connect.get_client(
        dsn=dsn,
        interface="https" if secure else None,
        autogenerate_session_id=False,
        connect_timeout=_PING_SECONDS,
        send_receive_timeout=seconds,
    )


def _open_embedded(dsn: str) -> Client:
    if _engine_left_behind:
        raise Forked
    try:
        with NamedTemporaryFile("w", suffix=".xml") as config:
            config.write(_CONFIG)
            config.flush()
            own = {"config-file": config.name}
            return clickhouse_connect.get_client(dsn=dsn, chdb_options=own)
    except ProgrammingError as error:
        path = Path(urlsplit(dsn).path)
        if not _is_locked(path / _LOCKED_FILE):
            raise
        raise DirectoryInUse(
            f"Another process has the ClickHouse directory {path} open. One process owns it: stop "
            "the other one, or give this one a directory of its own."
        ) from error


def _is_locked(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _set(client: Client, settings: Settings) -> None:
    """Those that the user may change; a profile that fixes them keeps its own values."""
    for name, value in settings.items():
        known = client.server_settings.get(name)
        if known is None or not known.readonly:
            client.set_client_setting(name, value)


def _set_read_only(client: Client, dsn: str) -> None:
    if client.server_settings["readonly"].value != "0":
        return
    if _embedded(dsn):
        # Not as a per-call setting: that would poison the handle half-way (and can't be undone).
        client.command("SET readonly = 1")
    else:
        client.set_client_setting("readonly", 1)


def _embedded(dsn: str) -> bool:
    return dsn.startswith("chdb:")
