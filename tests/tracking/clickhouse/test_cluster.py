"""One source of DDL: what a single node runs is what it always was, what a cluster runs is golden.

The statements for a cluster were never run (there is none here): they are held to files that a
person has read, and ClickHouse's own parser accepts them.
"""

from pathlib import Path

import pytest

from services.kit.clickhouse import ClickHouse
from services.tracking.clickhouse import migrate
from services.tracking.clickhouse.cluster import Cluster, UnknownMarker, everywhere, statements
from services.tracking.clickhouse.migrate import Migration

GOLDEN = Path(__file__).parent / "golden"
CLUSTER = Cluster("customers")

# Of the files as they were applied before they had markers.
APPLIED = {1: "351514087211fb9e2a88a8a47c0921e63303f8c5c30ff4c981cdc932b5d08d63"}


def script(each: Migration, cluster: Cluster | None) -> str:
    return ";\n\n".join(each.statements(cluster)) + ";\n"


@pytest.mark.parametrize("each", migrate.migrations(), ids=lambda each: each.name)
def test_the_statements_for_a_cluster_are_golden(each: Migration) -> None:
    assert script(each, CLUSTER) == (GOLDEN / each.name).read_text()


def test_no_two_migrations_have_one_number() -> None:
    numbers = [each.number for each in migrate.migrations()]
    assert len(set(numbers)) == len(numbers)


def test_an_instance_from_before_the_markers_is_not_seen_as_changed() -> None:
    known = {m.number: m.checksum for m in migrate.migrations() if m.number in APPLIED}
    assert known == APPLIED


@pytest.mark.anyio
async def test_clickhouse_can_read_every_statement_for_a_cluster(events_table: ClickHouse) -> None:
    for each in migrate.migrations():
        for statement in each.statements(CLUSTER):
            await events_table.command(f"EXPLAIN AST {statement}")


def test_a_column_is_added_where_rows_are_stored_and_where_they_are_asked_for() -> None:
    sql = "ALTER TABLE ${columns:events} ADD COLUMN IF NOT EXISTS group_id String"
    added = "ADD COLUMN IF NOT EXISTS group_id String"
    assert statements(sql, None) == [f"ALTER TABLE events {added}"]
    assert statements(sql, CLUSTER) == [
        f"ALTER TABLE events_local ON CLUSTER 'customers' {added}",
        f"ALTER TABLE events ON CLUSTER 'customers' {added}",
    ]


def test_rows_are_deleted_where_they_are_stored() -> None:
    sql = "DELETE FROM ${rows:events} WHERE subject_id = {subject_id:UUID}"
    assert statements(sql, None) == ["DELETE FROM events WHERE subject_id = {subject_id:UUID}"]
    assert statements(sql, CLUSTER) == [
        "DELETE FROM events_local ON CLUSTER 'customers' WHERE subject_id = {subject_id:UUID}"
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM ${rows:events} IN PARTITION ID '202601' WHERE event = {event:String}",
        "DELETE FROM ${everywhere:`events_local`} WHERE event = {event:String}",
        "ALTER TABLE ${rows:events} APPLY DELETED MASK IN PARTITION ID '202601'",
        "ALTER TABLE ${everywhere:`events_local`} APPLY DELETED MASK",
    ],
)
async def test_clickhouse_can_read_what_removes_rows_on_a_cluster(
    events_table: ClickHouse, sql: str
) -> None:
    [statement] = statements(sql, CLUSTER)
    assert "events_local` ON CLUSTER" in statement or "events_local ON CLUSTER" in statement
    await events_table.command(f"EXPLAIN AST {statement}", {"event": "Viewed"})


def test_system_tables_tell_of_every_node() -> None:
    assert everywhere("system.parts", None) == "system.parts"
    assert everywhere("system.parts", CLUSTER) == "clusterAllReplicas('customers', system.parts)"


@pytest.mark.parametrize("cluster", [None, CLUSTER])
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE ${sharted:events:key} (a Int8)",
        "CREATE TABLE ${sharded:events} (a Int8)",
        "CREATE TABLE ${everywhere} (a Int8)",
    ],
)
def test_a_marker_that_nobody_reads_is_an_error(sql: str, cluster: Cluster | None) -> None:
    with pytest.raises(UnknownMarker):
        statements(sql, cluster)


def test_an_engine_is_replicated_only_with_its_table() -> None:
    with pytest.raises(UnknownMarker):
        statements("CREATE TABLE t (a Int8) ENGINE = ${engine:MergeTree()}", CLUSTER)
