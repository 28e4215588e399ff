"""PostHog's newer door: an answer for each event."""

import json
import zlib
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.tracking.service import Running

pytestmark = pytest.mark.anyio

PATH = "/i/v1/analytics/events"
SDK = {"PostHog-Sdk-Info": "posthog-python/7.91.1", "PostHog-Attempt": "1"}


def event(name: str = "Seen", distinct_id: str | None = "u1", **more: Any) -> dict[str, Any]:
    return {
        "event": name,
        "uuid": str(uuid4()),
        "distinct_id": distinct_id,
        "timestamp": "2026-03-01T00:00:00.123456+00:00",
        "options": {},
        "properties": {},
        **more,
    }


async def post(client: httpx2.AsyncClient, *events: Any, **headers: str) -> Any:
    body = json.dumps({"created_at": "2026-03-01T00:00:01+00:00", "batch": events}).encode()
    answer = await client.post(PATH, content=zlib.compress(body), headers={**SDK, **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


async def test_each_event_is_answered(both: Running) -> None:
    good, bad, odd = event(), event(distinct_id=None), event(properties=7, uuid=None)
    results = await post(both.ingest, good, bad, odd, 7)
    assert results == {
        good["uuid"]: {"result": "ok"},
        bad["uuid"]: {
            "result": "drop",
            "details": "missing_id: A usable userId or anonymousId is needed.",
        },
    }
    assert len(await both.tracking.logged()) == 2
    assert (await post(both.ingest)) == {}


async def test_what_stands_elsewhere_than_with_older_clients_is_found(both: Running) -> None:
    await post(
        both.ingest,
        event(options={"process_person_profile": False}, session_id="s1"),
        event("$create_alias", "an1", properties={"distinct_id": "an1", "alias": "u1"}),
        event(properties={"$set": {"plan": "pro"}}),
    )
    anonymous, alias, traits = await both.tracking.logged()
    assert (anonymous.user_id, anonymous.anonymous_id) == ("", "u1")
    context = json.loads(anonymous.context)
    assert (context["sessionId"], context["library"]["name"]) == ("s1", "posthog-python")
    # Python's client says the two the other way around, which only the header tells.
    assert (alias.type, alias.user_id, alias.previous_id) == ("alias", "u1", "an1")
    assert json.loads(traits.traits) == {"plan": "pro"}
    assert traits.occurred_at == 1_772_323_200_123


async def test_a_wrong_clock_is_set_right_unless_the_client_forbids_it(both: Running) -> None:
    ahead = {"timestamp": "2098-12-31T00:00:00Z"}
    await post(
        both.ingest,
        event(**ahead),
        event(**ahead, options={"disable_skew_correction": True}),
        **{"PostHog-Request-Timestamp": "2099-01-01T00:00:00Z"},
    )
    shifted, kept = await both.tracking.logged()
    assert (shifted.time_source, kept.time_source) == ("skew_shifted", "clamped")


async def test_what_was_dropped_is_replayed_as_its_client_meant_it(both: Running) -> None:
    alias = event("$create_alias", "an1", properties={"distinct_id": "an1", "alias": None})
    results = await post(both.ingest, alias)
    assert results[alias["uuid"]]["result"] == "drop"
    await both.tracking.sql(
        "UPDATE quarantine SET raw = convert_to(replace(convert_from(raw, 'UTF8'), "
        "'\"alias\": null', '\"alias\": \"u1\"'), 'UTF8') RETURNING 1"
    )
    done = (await both.store.post("/api/v1/quarantine/replay", json={"filter": {}})).json()
    assert (done["replayed"], done["refused"]) == (1, [])
    (found,) = await both.tracking.logged()
    assert (found.type, found.user_id, found.previous_id) == ("alias", "u1", "an1")
