"""Retention by class: the most specific policy wins, and what expired is gone from the files."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.clickhouse import ClickHouse
from services.kit.postgres import SessionMaker, create_sessionmaker
from services.tracking.clickhouse import mutations
from services.tracking.clickhouse.cluster import Cluster
from services.tracking.retention import worker
from services.tracking.retention.compile import Policy
from services.tracking.retention.worker import Expiry
from tests.support.app import user_headers
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.events_table import StoredRow, store_events
from tests.tracking.service import Running, Tracking, eventually

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PATH = "/api/v1/events/retention"


@pytest.fixture
async def maker(tracking: Tracking) -> AsyncIterator[SessionMaker]:
    engine = create_async_engine(tracking.database.app_dsn)
    yield create_sessionmaker(engine)
    await engine.dispose()


async def put(both: Running, **policy: Any) -> dict[str, Any]:
    headers = user_headers("tracking", both.tracking.workspace_id)
    answer = await both.store.put(PATH, json=policy, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _keeps(policies: list[dict[str, Any]], event: str, kind: str, source: str) -> int | None:
    """Days, by the words of the documentation."""

    def meets(policy: dict[str, Any]) -> bool:
        return (
            policy.get("type") in (None, kind)
            and policy.get("source_id") in (None, source)
            and (policy.get("event") is None or fnmatchcase(event, policy["event"]))
        )

    for policy in policies:
        if meets(policy):
            return int(policy["days"])
    return None


MOST_SPECIFIC_FIRST: list[dict[str, Any]] = [
    {"event": "Product Viewed", "source_id": "source", "days": 9},
    {"event": "Product Viewed", "days": 60},
    {"event": "Product *", "type": "track", "days": 20},
    {"event": "Prod*", "source_id": "source", "type": "track", "days": 40},
    {"event": "*_%", "days": 5},
    {"source_id": "source", "type": "page", "days": 50},
    {"source_id": "source", "days": 70},
    {"type": "page", "days": 3},
]


@embedded_and_cluster
async def test_each_event_lives_as_long_as_the_most_specific_policy_says(
    both: Running, maker: SessionMaker, clickhouse_cluster: Cluster | None
) -> None:
    tracking = both.tracking
    for policy in reversed(MOST_SPECIFIC_FIRST):
        await put(both, **policy)
    headers = user_headers("tracking", tracking.workspace_id)
    listed = (await both.store.get(PATH, headers=headers)).json()["items"]
    shown = [{k: v for k, v in p.items() if v is not None and k != "id"} for p in listed]
    assert shown == MOST_SPECIFIC_FIRST

    names = ("Product Viewed", "Product Added", "Prodigy", "a_%", "axb", "Other")
    cases = list(product(names, ("track", "page"), (1, 4, 8, 15, 30, 45, 55, 65, 75)))
    rows = [
        StoredRow(uuid4(), event, NOW - timedelta(days=age), type=kind, message_id=f"{i}")
        for i, (event, kind, age) in enumerate(cases)
    ]
    clickhouse = await tracking.open_clickhouse(readers=1)
    await store_events(clickhouse, tracking.workspace_id, rows)
    stranger = uuid4()
    await store_events(clickhouse, stranger, rows[:5])

    def lives(event: str, kind: str, age: int) -> bool:
        days = _keeps(MOST_SPECIFIC_FIRST, event, kind, "source")
        return days is None or age <= days

    expected = {str(i) for i, case in enumerate(cases) if lives(*case)}
    assert 0 < len(expected) < len(cases)
    expiry = Expiry(maker, clickhouse, None, lambda: NOW, cluster=clickhouse_cluster)
    assert await expiry.expire_all() == len(cases) - len(expected)

    async def left() -> bool:
        found = await tracking.clickhouse("message_id")
        return {message_id for (message_id,) in found} == expected

    # ClickHouse deletes and writes parts anew in its own time.
    await eventually(left, within=60, what="the expired events to be gone")

    async def bytes_gone() -> bool:
        blocks = clickhouse.stream("SELECT count() FROM events", None, {"apply_deleted_mask": 0})
        return [n async for ([n],) in blocks] == [len(expected) + 5]

    await eventually(bytes_gone, within=60, what="the parts to be written anew")
    assert await expiry.expire_all() == 0
    await clickhouse.close()


@embedded_and_cluster
async def test_what_a_pass_that_was_cut_off_has_hidden_is_removed_by_the_next(
    both: Running, maker: SessionMaker, clickhouse_cluster: Cluster | None, stored_events: str
) -> None:
    clickhouse = await both.tracking.open_clickhouse(readers=1)
    workspace_id = both.tracking.workspace_id
    old = [StoredRow(uuid4(), "Viewed", NOW - timedelta(days=n)) for n in (1, 400)]
    await store_events(clickhouse, workspace_id, old)
    await put(both, event="Viewed", days=30)
    expiry = Expiry(maker, clickhouse, None, lambda: NOW, cluster=clickhouse_cluster)
    await expiry._expire(workspace_id)
    await mutations.ended(clickhouse, clickhouse_cluster, [stored_events])
    assert await expiry.expire_all() == 0

    async def bytes_gone() -> bool:
        blocks = clickhouse.stream("SELECT count() FROM events", None, {"apply_deleted_mask": 0})
        return [n async for ([n],) in blocks] == [1]

    await eventually(bytes_gone, within=60, what="the parts to be written anew")
    await clickhouse.close()


async def test_a_pass_with_nothing_to_do_changes_nothing(
    both: Running, maker: SessionMaker
) -> None:
    await put(both, event="Viewed", days=1)
    clickhouse = await ClickHouse.open(both.tracking.clickhouse_dsn)
    old = NOW - timedelta(days=400)
    await store_events(clickhouse, both.tracking.workspace_id, [StoredRow(uuid4(), "Bought", old)])
    assert await Expiry(maker, clickhouse, None, lambda: NOW).expire_all() == 0
    mutations = await clickhouse.query(
        "SELECT count() FROM system.mutations WHERE database = currentDatabase()"
    )
    assert mutations == [(0,)]
    await clickhouse.close()


async def test_refused_events_go_by_their_age(
    both: Running, maker: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BATCH_ROWS", 2)
    for _ in range(5):
        await both.ingest.post("/v1/track", json={"event": "nobody"})
    tracking = both.tracking
    await tracking.sql(
        "UPDATE quarantine SET received_at = now() - interval '31 days' WHERE id <= 3 RETURNING 1"
    )
    clickhouse = await ClickHouse.open(tracking.clickhouse_dsn)
    month = timedelta(days=30)
    await Expiry(maker, clickhouse, None).expire_all()
    assert len(await tracking.quarantined()) == 5
    await Expiry(maker, clickhouse, month).expire_all()
    assert await tracking.sql("SELECT id FROM quarantine ORDER BY id") == [(4,), (5,)]
    await clickhouse.close()


async def test_policies_are_changed_and_removed(both: Running) -> None:
    headers = user_headers("tracking", both.tracking.workspace_id)
    first = await put(both, type="page", days=90)
    assert await put(both, type="page", days=30) == {**first, "days": 30}
    foreign = user_headers("tracking", uuid4())
    path = f"{PATH}/{first['id']}"
    assert (await both.store.delete(path, headers=foreign)).status_code == 404
    assert (await both.store.delete(path, headers=headers)).status_code == 204
    gone = await both.store.delete(path, headers=headers)
    assert gone.json()["type"] == "/problems/retention-policy-not-found"
    assert (await both.store.get(PATH, headers=headers)).json() == {"items": []}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"days": 0}, "#/days"),
        ({"type": "click", "days": 1}, "#/type"),
        ({"event": "", "days": 1}, "#/event"),
        ({"event": "Viewed"}, "#/days"),
        ({"days": 1, "workspace_id": "x"}, "#/workspace_id"),
    ],
)
async def test_what_is_wrong_in_a_policy_is_named(
    both: Running, body: dict[str, Any], pointer: str
) -> None:
    headers = user_headers("tracking", both.tracking.workspace_id)
    answer = await both.store.put(PATH, json=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_workspace_has_so_many_policies_at_most(
    both: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tracking.retention.routes.MAX_POLICIES", 1)
    await put(both, days=1)
    headers = user_headers("tracking", both.tracking.workspace_id)
    answer = await both.store.put(PATH, json={"type": "page", "days": 1}, headers=headers)
    assert answer.json()["type"] == "/problems/too-many-retention-policies"
    assert len((await both.store.get(PATH, headers=headers)).json()["items"]) == 1


def test_of_equally_specific_patterns_the_shorter_time_counts() -> None:
    one = Policy(uuid4(), None, "A*", None, 5)
    other = Policy(uuid4(), None, "*A", None, 4)
    assert max(one, other, key=lambda policy: policy.rank) is other
