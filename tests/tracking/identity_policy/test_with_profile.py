"""From the API of profile to an event, to a person, and to the event read again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from services.contracts.events import Event
from services.kit.feeds import FeedPage
from services.profile.main import create_app as create_profile
from services.profile.settings import ProfileSettings
from services.tracking.main import create_app
from tests.support.app import running, service_headers, signing_key, trusted_keys, user_headers
from tests.support.postgres import NewDatabase
from tests.tracking.service import Running, Tracking, eventually
from tests.tracking.sockets import serving

pytestmark = pytest.mark.anyio

OWN = [
    {"name": "user_id"},
    {"name": "loyalty_card", "fold_case": True, "limit": {"count": 1}},
    {"name": "anonymous_id"},
]


@asynccontextmanager
async def profiles(
    database: NewDatabase, tracking: Tracking, url: str
) -> AsyncIterator[httpx2.AsyncClient]:
    settings = ProfileSettings(
        postgres_dsn=SecretStr(database("profile").app_dsn),
        signing_key=SecretStr(signing_key("profile")),
        trusted_keys=trusted_keys(),
        tracking_store_url=url,
        tracking_ingest_url=url,
        orchestrator_url=url,
        link_key=SecretStr("a key of this test run"),
        erasure_key=SecretStr("a key of this test run"),
        discovery_seconds=0.02,
        log_level="WARNING",
    )
    headers = user_headers("profile", tracking.workspace_id)
    async with running(create_profile(settings), headers) as client:
        yield client


async def scan(ingest: httpx2.AsyncClient, card: str, **who: Any) -> None:
    context = {"externalIds": [{"type": "loyalty_card", "id": card}]}
    answer = await ingest.post("/v1/track", json={"event": "Scanned", "context": context, **who})
    assert answer.status_code == 200, answer.text


async def person(client: httpx2.AsyncClient, card: str) -> dict[str, Any]:
    """Once profile has read the event that names them."""

    async def look() -> Any:
        params = {"namespace": "loyalty_card", "value": card}
        return (await client.get("/api/v1/profiles", params=params)).json()["items"]

    [found] = await eventually(look, what=f"the person with card {card}")
    return dict(found)


def events(page: FeedPage) -> list[Event]:
    return [event for row in page.rows for event in row.entries(Event)]


async def test_a_policy_is_felt_by_events_by_people_and_by_a_trimmed_log(
    tracking: Tracking, database: NewDatabase
) -> None:
    headers = service_headers("profile", "tracking", tracking.workspace_id)
    async with (
        tracking.ingest() as ingest,
        serving(create_app(tracking.settings("store"))) as url,
        httpx2.AsyncClient(base_url=url, headers=headers) as store,
    ):
        async with profiles(database, tracking, url) as client:
            answer = await client.put("/api/v1/identity-policy", json={"namespaces": OWN})
            assert answer.json()["in_force"] is True

            async def felt() -> bool:
                await scan(ingest, "Probe", userId="probe")
                newest = (await tracking.logged())[-1]
                return ("loyalty_card", "probe") in newest.identifiers

            await eventually(felt, what="the policy in force at ingestion")
            await scan(ingest, "LC-1", anonymousId="a1")
            await scan(ingest, "lc-1", userId="ada")
            await scan(ingest, "LC-2", userId="ada")
            await scan(ingest, "LC-3")
            # The last event's: all before it are in the profiles then.
            await person(client, "lc-3")
            ada = await person(client, "LC-1")
            assert ada["user_id"] == "ada"
            assert [i["namespace"] for i in ada["identifiers"]].count("loyalty_card") == 1
            assert (await client.get("/api/v1/conflicts")).json()["items"][0]["value"] == "lc-2"
        both = Running(ingest, store, tracking)
        whole = events(await both.read())
        assert any(("loyalty_card", "lc-3") in event.identifiers for event in whole)
        await both.loaded(len(whole))
        # From now on ClickHouse alone has them.
        await tracking.sql("DELETE FROM log RETURNING 1")
        assert events(await both.read()) == whole
