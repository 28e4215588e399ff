"""The door for what another service lets people say, over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.contracts.tracking import SaidAccepted
from tests.support.app import service_headers
from tests.support.postgres import NewDatabase
from tests.tracking.service import Tracking, each_log

pytestmark = pytest.mark.anyio

NOON = 1_700_000_000_000


@pytest.fixture
def tracking(database: NewDatabase, log_dsn: str | None) -> Tracking:
    return Tracking(database("tracking"), clickhouse_dsn="", log_dsn=log_dsn)


@pytest.fixture
async def ingest(tracking: Tracking) -> AsyncIterator[httpx2.AsyncClient]:
    async with tracking.ingest(now_ms=lambda: NOON) as client:
        yield client


async def say(
    ingest: httpx2.AsyncClient, tracking: Tracking, *batch: Any, **how: Any
) -> httpx2.Response:
    return await ingest.post(
        "/internal/v1/events",
        params={"source_id": "crm", **how},
        json={"batch": batch},
        headers=service_headers("profile", "tracking", tracking.workspace_id),
    )


def identify(**rest: Any) -> dict[str, Any]:
    return {"type": "identify", "messageId": "m1", "traits": {}, **rest}


async def test_good_events_are_durable_and_refused_ones_are_told_and_kept_nowhere(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    answer = await say(
        *(ingest, tracking),
        identify(userId="u1", timestamp="2023-11-01T00:00:00Z"),
        identify(traits={"plan": "pro"}),
        identify(userId="u1", traits={"a": {"b": "\x00"}}),
        identify(userId="u2"),
        identify(userId="u3", traits={"x": "x" * 40_000}),
    )
    accepted = SaidAccepted.model_validate_json(answer.content)
    assert accepted.occurred_at == [1_698_796_800_000, None, None, NOON, None]
    assert [(each.index, each.pointer) for each in accepted.refused] == [
        (1, ""),
        (2, "/traits/a/b"),
        (4, ""),
    ]
    logged = await tracking.logged()
    assert [(e.user_id, e.source_id, e.occurred_at) for e in logged] == [
        ("u1", "crm", 1_698_796_800_000),
        ("u2", "crm", NOON),
    ]
    assert await tracking.quarantined() == []


async def test_a_contact_alone_names_a_person_here_and_nowhere_else(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    contact = identify(traits={"email": "Ada@example.com", "phone": "+49 221 123456"})
    assert (await ingest.post("/v1/identify", json=contact)).status_code == 400
    await say(ingest, tracking, contact)
    (event,) = await tracking.logged()
    named = [("email", "ada@example.com"), ("phone", "+49221123456")]
    assert (event.user_id, event.anonymous_id, event.identifiers) == ("", "", named)


@each_log
async def test_the_answer_names_the_offset_of_what_was_appended(tracking: Tracking) -> None:
    async with tracking.ingest(now_ms=lambda: NOON) as ingest:
        calls = [identify(userId="u1", messageId=f"m{n}") for n in (1, 2)]
        answers = [await say(ingest, tracking, call, source_id="api") for call in calls]
    assert [answer.json()["offset"] for answer in answers] == [1, 2]
    logged = await tracking.logged()
    assert [(e.message_id, e.source_id) for e in logged] == [("m1", "api"), ("m2", "api")]


async def test_one_refused_event_of_a_whole_keeps_all_of_it_out_of_log_and_quarantine(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    batch = [identify(userId="u1"), identify(userId="u2", traits={"a": "\x00"})]
    answer = (await say(ingest, tracking, *batch, whole=True)).json()
    assert answer["occurred_at"] == [None, None]
    assert [(each["index"], each["pointer"]) for each in answer["refused"]] == [(1, "/traits/a")]
    assert await tracking.logged() == []
    assert await tracking.quarantined() == []
    good = (await say(ingest, tracking, batch[0], whole=True)).json()
    assert (good["occurred_at"], good["refused"]) == ([NOON], [])
    assert [e.user_id for e in await tracking.logged()] == ["u1"]


async def test_only_services_may_say_what_others_said(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    answer = await ingest.post("/internal/v1/events?source_id=crm", json={"batch": []})
    assert answer.status_code == 403
    empty = await say(ingest, tracking)
    assert empty.json() == {"occurred_at": [], "refused": [], "offset": 0}
    assert await tracking.logged() == []
