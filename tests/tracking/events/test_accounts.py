"""Timelines of accounts over HTTP, beside a profile service that says who was in them when."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI, Response

from services.contracts.profile import AccountSpan, AccountSpans
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.events_table import StoredRow, store_events, store_mapping
from tests.tracking.service import Tracking
from tests.tracking.sockets import serving

pytestmark = pytest.mark.anyio

START = datetime(2024, 3, 1, tzinfo=UTC)


@dataclass
class FakeProfile:
    """Accounts by id, as profile tells tracking of them."""

    accounts: dict[UUID, AccountSpans] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[str]:
        app = FastAPI()

        @app.get("/internal/v1/feed/partitions")
        async def partitions() -> dict[str, list[str]]:
            return {"partitions": []}

        @app.get("/internal/v1/accounts/{account_id}/spans", response_model=AccountSpans)
        async def spans(account_id: UUID, limit: int) -> AccountSpans | Response:
            self.asked.append(limit)
            return self.accounts.get(account_id) or Response(status_code=404)

        async with serving(app) as url:
            yield url


def span(profile_id: UUID, since: float, until: float | None = None) -> AccountSpan:
    """``since`` and ``until`` in hours after ``START``."""
    return AccountSpan(
        profile_id=profile_id,
        since=START + timedelta(hours=since),
        until=None if until is None else START + timedelta(hours=until),
    )


def hourly(
    subject_id: UUID, event: str, count: int, group_id: str = "", log_index: int = 0
) -> list[StoredRow]:
    return [
        StoredRow(
            subject_id,
            event,
            START + timedelta(hours=i),
            {"i": i},
            log_offset=i + 1,
            log_index=log_index,
            group_id=group_id,
        )
        for i in range(count)
    ]


@asynccontextmanager
async def store_with(
    tracking: Tracking, rows: list[StoredRow], profile_of: dict[UUID, UUID], account: AccountSpans
) -> AsyncIterator[tuple[httpx2.AsyncClient, str]]:
    account_id = uuid4()
    profile = FakeProfile({account_id: account})
    async with profile.answering() as url:
        tracking.profile_url = url
        async with tracking.store() as api:
            clickhouse = await tracking.open_clickhouse()
            await store_events(clickhouse, tracking.workspace_id, rows)
            others = [replace(row, message_id=uuid4().hex) for row in rows]
            await store_events(clickhouse, uuid4(), others)
            await store_mapping(clickhouse, tracking.workspace_id, profile_of)
            await clickhouse.close()
            yield api, f"/api/v1/accounts/{account_id}/events"


async def pages(api: httpx2.AsyncClient, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    found = []
    while True:
        answer = (await api.get(path, params=params)).raise_for_status().json()
        found.append(answer["items"])
        if answer["next_cursor"] is None:
            return found
        params["cursor"] = answer["next_cursor"]


def seen(page: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(e["event"], e["properties"]["i"]) for e in page]


@embedded_and_cluster
async def test_people_are_seen_in_the_timeline_while_they_are_in_the_account(
    tracking: Tracking,
) -> None:
    stays, leaves, stranger, device = uuid4(), uuid4(), uuid4(), uuid4()
    rows = hourly(stays, "Stays", 3) + hourly(leaves, "Leaves", 4) + hourly(stranger, "Other", 4)
    account = AccountSpans(group_id="acme", members=[span(stays, 1), span(leaves, 1, 3)])
    rows += hourly(device, "Device", 2)
    # What journeys sent them is seen there as in the timelines of people.
    rows.append(
        StoredRow(stays, "Message Sent", START + timedelta(hours=2), {"i": 2}, type="outcome")
    )
    async with store_with(tracking, rows, {device: stays}, account) as (api, path):
        (page,) = await pages(api, path)
    assert sorted(seen(page)) == [
        ("Device", 1),
        ("Leaves", 1),
        ("Leaves", 2),
        ("Message Sent", 2),
        ("Stays", 1),
        ("Stays", 2),
    ]
    assert {e["profile_id"] for e in page if e["event"] != "Leaves"} == {str(stays)}


@embedded_and_cluster
async def test_events_that_name_the_account_are_its_own_whoever_did_them(
    tracking: Tracking,
) -> None:
    stranger, device, person = uuid4(), uuid4(), uuid4()
    rows = hourly(device, "Named", 2, "acme") + hourly(stranger, "Other", 2, "beta")
    both = hourly(person, "Both", 1, "acme")
    account = AccountSpans(group_id="acme", members=[span(person, 0)])
    async with store_with(tracking, rows + both, {device: stranger}, account) as (api, path):
        (page,) = await pages(api, path)
    assert sorted(seen(page)) == [("Both", 0), ("Named", 0), ("Named", 1)]
    assert {e["profile_id"] for e in page if e["event"] == "Named"} == {str(stranger)}


@embedded_and_cluster
async def test_pages_come_newest_first_without_gap_or_repeat(tracking: Tracking) -> None:
    one, two = uuid4(), uuid4()
    rows = hourly(one, "Named", 5, "acme") + hourly(two, "Member", 4, log_index=1)
    account = AccountSpans(group_id="acme", members=[span(one, 0), span(two, 0)])
    async with store_with(tracking, rows, {}, account) as (api, path):
        found = await pages(api, path, limit=2)
    flat = [each for page in found for each in page]
    assert [len(page) for page in found] == [2, 2, 2, 2, 1]
    assert len({e["message_id"] for e in flat}) == 9
    times = [e["occurred_at"] for e in flat]
    assert times == sorted(times, reverse=True)


@embedded_and_cluster
async def test_an_account_that_nobody_knows_is_not_found(tracking: Tracking) -> None:
    account = AccountSpans(group_id="acme", members=[])
    async with store_with(tracking, hourly(uuid4(), "Other", 1), {}, account) as (api, path):
        assert await pages(api, path) == [[]]
        answer = await api.get(f"/api/v1/accounts/{uuid4()}/events")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/account-not-found")


@embedded_and_cluster
async def test_without_a_profile_service_there_is_no_timeline_of_accounts(
    tracking: Tracking,
) -> None:
    async with tracking.store() as api:
        answer = await api.get(f"/api/v1/accounts/{uuid4()}/events")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
