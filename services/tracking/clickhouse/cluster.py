"""One DDL for a single ClickHouse and for a cluster of them: markers in SQL → statements. Pure.

| marker                      | single node                      | on a cluster                    |
|-----------------------------|----------------------------------|---------------------------------|
| `${sharded:T:KEY}`          | `T`                              | `T_local`, then `Distributed T` |
| `${everywhere:T}`           | `T`                              | `T`, the same on every node     |
| `${engine:E(args)}`         | `E(args)`                        | `ReplicatedE(path, name, args)` |
| `${deduplication_window:N}` | `non_replicated_…_window = N`    | `replicated_…_window = N`       |
| `${columns:T}`              | `T`                              | for `T_local`, again for `T`    |
| `${rows:T}`                 | `T`                              | `T_local`                       |

Names of tables are followed by `ON CLUSTER` there. `sharded` and `everywhere` stand in a CREATE.
What comes later for a sharded table says `columns` where both tables must know (ADD COLUMN) and
`rows` where only what is stored counts (indices, settings, TTL, DELETE); for the others it is
`everywhere` again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MARKER = re.compile(r"\$\{(\w+)(?::([^:}]+))?(?::([^}]+))?\}")
_ENGINE = re.compile(r"(\w*MergeTree)\((.*)\)")
_TABLES = ("sharded", "everywhere")
_KINDS = (*_TABLES, "engine", "deduplication_window", "columns", "rows")

_SHARD_PATH = "/clickhouse/tables/{shard}/{database}/"
_SHARED_PATH = "/clickhouse/tables/everywhere/{database}/"
_REPLICA = "{replica}"
# Where every node of every shard is a replica of one table, the shard belongs to its name.
_SHARED_REPLICA = "{shard}_{replica}"
_WEEK_SECONDS = 604_800


class UnknownMarker(Exception):
    """A statement says ``${…}`` in a way that nobody reads."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster by the name it has in the servers' ``remote_servers``."""

    name: str

    @property
    def write_settings(self) -> Mapping[str, Any]:
        """An insert is acknowledged when the majority of each shard's replicas holds its rows, and
        what the writer reads shows all that was acknowledged."""
        return {
            "distributed_foreground_insert": 1,
            "insert_quorum": "auto",
            # Below the client's patience, so that the server is the one to give up.
            "insert_quorum_timeout": 60_000,
            # One insert after the other: what ``select_sequential_consistency`` asks for.
            "insert_quorum_parallel": 0,
            "select_sequential_consistency": 1,
        }

    @property
    def read_settings(self) -> Mapping[str, Any]:
        """Subqueries on the sharded table are asked of the whole cluster, not of each shard."""
        return {"distributed_product_mode": "global"}


def statements(sql: str, cluster: Cluster | None) -> list[str]:
    """What to run, in order, for one statement with markers."""
    if cluster is None:
        return [_MARKER.sub(_alone, sql)]
    kinds = {match[1]: match for match in _MARKER.finditer(sql)}
    there = f"ON CLUSTER '{cluster.name}'"
    table = next((kinds[kind] for kind in _TABLES if kind in kinds), None)
    alone(sql)
    made = _MARKER.sub(lambda match: _replicated(match, table, there), sql)
    if "sharded" in kinds:
        name, key = kinds["sharded"][2], kinds["sharded"][3]
        over = f"Distributed('{cluster.name}', currentDatabase(), '{name}_local', {key})"
        distributed = f"CREATE TABLE IF NOT EXISTS {name} {there} AS {name}_local\nENGINE = {over}"
        return [made, distributed]
    if "columns" in kinds:
        return [made, _MARKER.sub(lambda match: f"{match[2]} {there}", sql)]
    return [made]


def everywhere(table: str, cluster: Cluster | None) -> str:
    """What to read a system table from, so that it tells of every node."""
    return f"clusterAllReplicas('{cluster.name}', {table})" if cluster else table


def alone(sql: str) -> str:
    """A whole file as a single node gets it."""
    return _MARKER.sub(_alone, sql)


def _alone(match: re.Match[str]) -> str:
    kind, text = match[1], match[2]
    if kind not in _KINDS or text is None or (kind == "sharded" and match[3] is None):
        raise UnknownMarker(match[0])
    if kind == "deduplication_window":
        return f"non_replicated_deduplication_window = {text}"
    return text


def _replicated(match: re.Match[str], table: re.Match[str] | None, there: str) -> str:
    kind, text = match[1], match[2]
    if kind in ("sharded", "columns", "rows"):
        return f"{text}_local {there}"
    if kind == "everywhere":
        return f"{text} {there}"
    if kind == "deduplication_window":
        # Also bounded by time there: an hour, unless said.
        window = "replicated_deduplication_window"
        return f"{window} = {text}, {window}_seconds = {_WEEK_SECONDS}"
    engine = _ENGINE.fullmatch(text or "")
    if kind != "engine" or engine is None or table is None:
        raise UnknownMarker(match[0])
    sharded = table[1] == "sharded"
    path, replica = (_SHARD_PATH, _REPLICA) if sharded else (_SHARED_PATH, _SHARED_REPLICA)
    given = f", {engine[2]}" if engine[2] else ""
    return f"Replicated{engine[1]}('{path}{table[2]}', '{replica}'{given})"
