"""A profile service that begins anew gets the same people, also of a log that was trimmed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from services.contracts.events import Event, Outcome
from services.kit.feeds import FeedPage, decode_page, pack, unpack
from services.profile.main import create_app as create_profile
from services.profile.settings import ProfileSettings
from services.tracking.archive import archive
from services.tracking.main import create_app
from tests.support.app import (
    running,
    service_headers,
    signing_key,
    trusted_keys,
    user_headers,
)
from tests.support.postgres import NewDatabase
from tests.tracking.service import Running, Tracking, eventually, track
from tests.tracking.sockets import serving

pytestmark = pytest.mark.anyio

LATE = "2026-02-01T00:00:00Z"


def identify(user: str, message_id: str, anonymous: str = "", **traits: Any) -> dict[str, Any]:
    named = {"userId": user, **({"anonymousId": anonymous} if anonymous else {})}
    return {"type": "identify", "messageId": message_id, "traits": traits, **named}


def anonymous(device: str, message_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Viewed",
        "anonymousId": device,
        "messageId": message_id,
        **fields,
    }


HISTORY: list[list[dict[str, Any]]] = [
    [anonymous("d1", "m1"), anonymous("d2", "m2"), anonymous("d3", "m3")],
    # A person becomes known, then on a second device: a merge.
    [identify("ada", "m4", "d1", email="Ada@example.com", plan="free")],
    [identify("ada", "m5", "d2", phone="+8613800138000", plan="pro", deep={"a": [1, 2.5, None]})],
    # Late: changes nothing that was said afterwards.
    [
        identify("ada", "m6", plan="old", city="东京") | {"timestamp": LATE},
        track("ada", messageId="m12", context={"externalIds": [{"type": "openid", "id": "o1"}]}),
    ],
    [{"type": "alias", "userId": "bob", "previousId": "d3", "messageId": "m7"}],
    # Two known people never merge; the same again is a duplicate.
    [identify("bob", "m8", "d1", email="bob@example.com"), anonymous("d1", "m1")],
    [track("bob", messageId="m9", context={"traits": {"email": "bob@work.example"}})],
    [{"type": "group", "userId": "bob", "groupId": "acme", "messageId": "m10", "traits": {"n": 1}}],
    [{"type": "page", "userId": "ada", "name": "Home", "messageId": "m11", "sentAt": LATE}],
]
PEOPLE = (
    *(("user_id", "ada"), ("user_id", "bob"), ("email", "ada@example.com")),
    *(("email", "bob@work.example"), ("phone", "+8613800138000")),
    *(("openid", "o1"), ("anonymous_id", "d1"), ("anonymous_id", "d2"), ("anonymous_id", "d3")),
)


@dataclass
class Past:
    """A tracking service on a socket whose log has a history."""

    both: Running
    url: str

    async def trim(self, keep_after: int) -> None:
        await self.both.tracking.sql(
            'DELETE FROM log WHERE "offset" <= :last RETURNING 1', last=keep_after
        )


@pytest.fixture
async def past(tracking: Tracking) -> AsyncIterator[Past]:
    headers = service_headers("profile", "tracking", tracking.workspace_id)
    async with (
        tracking.ingest() as ingest,
        serving(create_app(tracking.settings("store"))) as url,
        httpx2.AsyncClient(base_url=url, headers=headers) as store,
    ):
        both = Running(ingest, store, tracking)
        for batch in HISTORY:
            answer = await ingest.post("/v1/batch", json={"batch": batch})
            assert answer.status_code == 200, answer.text
        await both.loaded(12)
        yield Past(both, url)


@asynccontextmanager
async def profiles(database: NewDatabase, past: Past) -> AsyncIterator[httpx2.AsyncClient]:
    """A profile service that has nothing yet."""
    settings = ProfileSettings(
        postgres_dsn=SecretStr(database("profile").app_dsn),
        signing_key=SecretStr(signing_key("profile")),
        trusted_keys=trusted_keys(),
        tracking_store_url=past.url,
        tracking_ingest_url=past.url,
        orchestrator_url=past.url,
        link_key=SecretStr("a key of this test run"),
        erasure_key=SecretStr("a key of this test run"),
        discovery_seconds=0.02,
        log_level="WARNING",
    )
    headers = user_headers("profile", past.both.tracking.workspace_id)
    async with running(create_profile(settings), headers) as client:
        yield client


async def everybody(client: httpx2.AsyncClient, past: Past) -> list[bytes]:
    """What the API says of everybody, once the whole log was read."""
    read = "SELECT 1 FROM log_reader WHERE reader = 'profile' AND position = :end"

    async def done() -> bool:
        return bool(await past.both.tracking.sql(read, end=len(HISTORY)))

    await eventually(done, within=20, what="profile at the end of the log")
    answers = [(await client.get("/api/v1/profiles")).content]
    for namespace, value in PEOPLE:
        params = {"namespace": namespace, "value": value}
        answers.append((await client.get("/api/v1/profiles", params=params)).content)
    # The next one begins at the start, which is what the position then says.
    await past.both.tracking.sql("DELETE FROM log_reader WHERE reader = 'profile' RETURNING 1")
    return answers


def events(page: FeedPage) -> list[tuple[int, Event]]:
    return [(row.offset, event) for row in page.rows for event in row.entries(Event)]


async def test_a_fresh_profile_service_gets_equal_people_from_a_trimmed_log(
    past: Past, database: NewDatabase
) -> None:
    async with profiles(database, past) as client:
        first = await everybody(client, past)
    assert b"ada" in first[0]
    assert first[1] != first[2]
    for keep_after in (3, len(HISTORY) - 1):
        await past.trim(keep_after)
        async with profiles(database, past) as client:
            assert await everybody(client, past) == first


async def test_readers_get_the_same_events_at_the_same_places(past: Past) -> None:
    whole = events(await past.both.read())
    assert len(whole) == 12
    await past.trim(len(HISTORY) - 2)
    page = await past.both.read()
    assert page.end == len(HISTORY)
    assert events(page) == whole[:-2]
    assert events(await past.both.read(after=page.rows[-1].offset)) == whole[-2:]
    assert events(await past.both.read(after=3)) == [e for e in whole[:-2] if e[0] > 3]


async def test_long_stretches_are_cut_between_rows(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = events(await past.both.read())
    await past.trim(len(HISTORY))
    monkeypatch.setattr(archive, "SPAN_EVENTS", 4)
    monkeypatch.setattr(archive, "SPAN_ROWS", 5)
    found: list[tuple[int, Event]] = []
    for _ in HISTORY:
        params: dict[str, Any] = {"partition": str(past.both.tracking.workspace_id), "limit": 2}
        after = found[-1][0] if found else 0
        answer = await past.both.store.get("/internal/v1/log", params={**params, "after": after})
        found += events(decode_page(answer.content))
    assert found == whole


async def test_outcomes_are_made_again_too(past: Past) -> None:
    tracking = past.both.tracking
    outcome = Outcome("o1", "Message Sent", str(tracking.workspace_id), 5, '{"to":"x"}')
    headers = service_headers("orchestrator", "tracking", tracking.workspace_id)
    await past.both.ingest.post("/internal/v1/outcomes", content=pack([outcome]), headers=headers)
    await past.both.loaded(13)
    await past.trim(len(HISTORY))
    page = await past.both.read(partition=f"{tracking.workspace_id}:outcomes")
    assert [unpack(row.data, Outcome) for row in page.rows] == [[outcome]]


async def test_a_reader_that_begins_anew_waits_since_the_oldest_row_there_is(past: Past) -> None:
    tracking = past.both.tracking
    await past.trim(5)
    params: dict[str, Any] = {"partition": str(tracking.workspace_id), "after": 0, "done": 0}
    await past.both.store.get("/internal/v1/log", params=params)
    [(oldest,)] = await tracking.sql('SELECT received_at FROM log WHERE "offset" = 6')

    async def look() -> Any:
        headers = user_headers("tracking", tracking.workspace_id)
        answer = await past.both.store.get("/api/v1/events/lag", headers=headers)
        [partition] = answer.json()["partitions"]
        [reader] = [r for r in partition["readers"] if r["reader"] == "profile"]
        return reader if reader["position"] == 0 else None

    reader = await eventually(look, what="the reader's position")
    assert reader["lag_rows"] == len(HISTORY)
    # The log tells times by the millisecond.
    told = datetime.fromisoformat(reader["waiting_since"])
    assert told == oldest.replace(microsecond=oldest.microsecond // 1000 * 1000)
