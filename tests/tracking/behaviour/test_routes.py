"""Summaries of people's behaviour, over HTTP and on every kind of ClickHouse."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pyarrow as pa
import pytest

from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.events.test_routes import store_with
from tests.tracking.events_table import StoredRow
from tests.tracking.service import Tracking

pytestmark = pytest.mark.anyio

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
DAY = (MONDAY - datetime(1970, 1, 1, tzinfo=UTC)).days
AS_OF = "2024-03-20T00:00:00Z"


def row(who: UUID, hours: float, event: str = "Ordered", **properties: Any) -> StoredRow:
    kind = "outcome" if event.startswith("Message") else "track"
    return StoredRow(who, event, MONDAY + timedelta(hours=hours), properties, type=kind)


async def ask(api: httpx2.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    body = {"as_of": AS_OF, **query}
    answer = await api.post("/internal/v1/behaviour/summary", json=body)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = pa.ipc.open_stream(answer.content).read_all().to_pylist()
    return sorted(rows, key=str)


@embedded_and_cluster
async def test_orders_of_one_day_are_one_purchase_and_merged_people_one_person(
    tracking: Tracking,
) -> None:
    person, merged, once = uuid4(), uuid4(), uuid4()
    rows = [
        row(person, 1, total=10, currency="CNY"),
        row(person, 2, total=5, currency="CNY"),
        row(merged, 49, total=7, currency="CNY"),
        row(person, 50, total=1000, currency="USD"),
        row(person, 51, "Viewed", total=9, currency="CNY"),
        row(once, 3, total="no number", currency="CNY"),
        row(once, 24 * 30, total=3, currency="CNY"),
    ]
    async with store_with(tracking, rows, {merged: person}) as api:
        found = await ask(
            api,
            measure="purchases",
            events=["Ordered"],
            value="total",
            currency={"code": "CNY"},
        )
        whole = await ask(api, measure="purchases", events=["Ordered"])
        shifted = await ask(
            api, measure="purchases", events=["Ordered"], timezone="America/New_York"
        )
    columns = ("days", "first_day", "last_day", "total", "first_value")
    assert {r["profile_id"]: tuple(r[c] for c in columns) for r in found} == {
        str(person): (2, DAY, DAY + 2, 22, 15),
        str(once): (1, DAY, DAY, 0, 0),
    }
    assert {(r["days"], r["total"]) for r in whole} == {(2, 0), (1, 0)}
    assert {r["first_day"] for r in shifted} == {DAY - 1}


@embedded_and_cluster
async def test_activity_and_hours_leave_out_what_was_done_to_people(tracking: Tracking) -> None:
    person = uuid4()
    rows = [
        row(person, 9, "Viewed"),
        row(person, 9.5, "Ordered"),
        row(person, 24 * 6 + 23, "Viewed"),
        row(person, 10, "Message Sent", message_id="m", channel_type="email"),
    ]
    async with store_with(tracking, rows, {}) as api:
        (active,) = await ask(api, measure="activity")
        hours = await ask(api, measure="hours")
        later = await ask(api, measure="hours", since="2024-03-05T00:00:00Z", events=["Viewed"])
        shanghai = await ask(api, measure="hours", timezone="Asia/Shanghai")
    assert active == {"profile_id": str(person), "events": 3, "active_days": 2, "last_day": DAY + 6}
    assert [(r["hour"], r["events"]) for r in hours] == [(167, 1), (9, 2)]
    assert [r["hour"] for r in later] == [167]
    assert [r["hour"] for r in shanghai] == [17, 7]


@embedded_and_cluster
async def test_a_message_opened_twice_counts_once_for_its_channel(tracking: Tracking) -> None:
    person = uuid4()
    rows = [
        row(person, 1, "Message Sent", message_id="a", channel_type="email"),
        row(person, 2, "Message Sent", message_id="b", channel_type="email"),
        row(person, 3, "Message Sent", message_id="c", channel_type="sms"),
        row(person, 4, "Message Opened", message_id="a"),
        row(person, 5, "Message Opened", message_id="a"),
        row(person, 6, "Message Opened", message_id="never sent"),
    ]
    async with store_with(tracking, rows, {}) as api:
        found = await ask(
            api, measure="channels", events=["Message Sent"], engagements=["Message Opened"]
        )
    assert [(r["channel"], r["sent"], r["engaged"]) for r in found] == [
        ("email", 2, 1),
        ("sms", 1, 0),
    ]


async def test_nobody_is_an_empty_stream_and_bad_questions_are_named(tracking: Tracking) -> None:
    async with store_with(tracking, [], {}) as api:
        assert await ask(api, measure="activity") == []
        for wrong, pointer in (
            ({"measure": "activity", "timezone": "Mars"}, "#/timezone"),
            ({"measure": "purchases"}, "#/events"),
            ({"measure": "hours", "since": "2024-03-05T00:00:00"}, "#/since"),
        ):
            answer = await api.post(
                "/internal/v1/behaviour/summary", json={"as_of": AS_OF, **wrong}
            )
            assert answer.status_code == 422
            assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]
