"""A workspace's own namespaces, from profile's word to the log and to ClickHouse."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from services.contracts.events import Event
from services.contracts.identity import IdentityPolicy, Namespace
from services.identifiers import subject_id
from tests.support.app import service_headers
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.service import Running, eventually, track

pytestmark = pytest.mark.anyio

TOLD = "/internal/v1/identity-policy"
SEEN = "/api/v1/events/external-ids"
CARD = {"type": "loyalty_card", "id": "LC-77", "collection": "users", "encoding": "none"}


def policy(*own: dict[str, Any], version: int = 1) -> dict[str, Any]:
    """The four namespaces of fields in an order of their own, and others before them."""
    names: tuple[dict[str, Any], ...] = ({"name": "user_id"}, *own, {"name": "phone"})
    names += ({"name": "email"}, {"name": f"probe{version}"}, {"name": "anonymous_id"})
    namespaces = [Namespace.model_validate(each) for each in names]
    return IdentityPolicy(version=version, namespaces=namespaces).model_dump(mode="json")


async def tell(both: Running, *own: dict[str, Any], version: int = 1) -> None:
    """Returns when ingestion acts on it."""
    answer = await both.store.put(TOLD, json=policy(*own, version=version))
    assert answer.status_code == 200, answer.text
    probe = {"externalIds": [{"type": f"probe{version}", "id": "p"}]}

    async def felt() -> bool:
        sent = await both.ingest.post(
            "/v1/track", json={"event": "Probe", "anonymousId": "probe", "context": probe}
        )
        assert sent.status_code == 200, sent.text
        return (await newest(both)).identifiers[0][0] == f"probe{version}"

    await eventually(felt, within=5, what="the policy in force")


async def newest(both: Running) -> Event:
    return (await both.tracking.logged())[-1]


async def send(both: Running, **said: Any) -> Event:
    answer = await both.ingest.post("/v1/track", json=track(**said))
    assert answer.status_code == 200, answer.text
    return await newest(both)


async def test_external_ids_of_the_built_in_policy_name_people(both: Running) -> None:
    said = {"externalIds": [{"type": "external_userid", "id": "wm1"}, {"type": "unionid", "id": 7}]}
    event = await send(both, user="u1", anonymousId="an1", context=said)
    assert event.identifiers == [
        *(("user_id", "u1"), ("unionid", "7"), ("external_userid", "wm1")),
        ("anonymous_id", "an1"),
    ]
    assert event.subject_id == str(subject_id(both.tracking.workspace_id, "user_id", "u1"))


async def test_an_event_of_external_ids_alone_is_somebodys(both: Running) -> None:
    said = {"externalId": [{"type": "openid", "id": "o1"}]}
    event = await send(both, user="", context=said)
    assert event.identifiers == [("openid", "o1")]
    assert event.subject_id == str(subject_id(both.tracking.workspace_id, "openid", "o1"))


@pytest.mark.parametrize(
    "said",
    [
        *({"externalIds": CARD}, {"externalIds": [CARD, 7, None, "x"]}, {"externalIds": None}),
        *({"externalIds": [{"type": "openid"}]}, {"externalIds": [{"id": "1"}]}),
        {"externalIds": [{"type": "openid", "id": True}, {"type": ["openid"], "id": "1"}]},
        {"externalIds": [{"type": "openid", "id": "1", "collection": "accounts"}]},
        {"externalIds": [{"type": "openid", "id": "1", "collection": ["users"]}]},
        {"externalIds": [{"type": "openid", "id": "undefined"}]},
        {"externalIds": [{"type": "user_id", "id": "somebody else"}]},
    ],
)
async def test_external_ids_that_say_nothing_usable_are_left_out(
    both: Running, said: dict[str, Any]
) -> None:
    event = await send(both, context=said)
    assert event.identifiers == [("user_id", "u1")]
    assert await both.tracking.quarantined() == []


async def test_own_namespaces_order_and_blocked_values_decide_at_ingestion(both: Running) -> None:
    card = {"name": "loyalty_card", "fold_case": True, "blocked": {"patterns": ["^test"]}}
    await tell(both, card)
    traits = {"email": "a@b.example", "phone": "+8613800138000"}
    event = await send(both, user="", anonymousId="an1", context={"externalIds": [CARD]})
    assert event.identifiers == [("loyalty_card", "lc-77"), ("anonymous_id", "an1")]
    assert event.subject_id == str(subject_id(both.tracking.workspace_id, "loyalty_card", "lc-77"))
    blocked = {"externalIds": [{**CARD, "id": "test-1"}], "traits": traits}
    event = await send(both, user="", anonymousId="an1", context=blocked)
    assert [namespace for namespace, _ in event.identifiers] == ["phone", "email", "anonymous_id"]


async def test_national_numbers_are_read_by_the_policys_region(both: Running) -> None:
    phone = {"traits": {"phone": "138 0013 8000"}}
    assert (await send(both, context=phone)).identifiers == [("user_id", "u1")]
    own = policy()
    own["namespaces"][1]["region"] = "CN"
    assert own["namespaces"][1]["name"] == "phone"
    assert (await both.store.put(TOLD, json=own)).status_code == 200

    async def felt() -> bool:
        return ("phone", "+8613800138000") in (await send(both, context=phone)).identifiers

    await eventually(felt, within=5, what="the region in force")


async def test_other_workspaces_keep_the_built_in_policy(both: Running) -> None:
    other = service_headers("profile", "tracking", UUID(int=7))
    told = await both.store.put(TOLD, json=policy({"name": "loyalty_card"}), headers=other)
    assert told.status_code == 200
    await tell(both, {"name": "badge"}, version=1)
    event = await send(both, context={"externalIds": [CARD, {"type": "badge", "id": "b"}]})
    assert event.identifiers == [("user_id", "u1"), ("badge", "b")]


async def test_a_version_never_changes_and_an_older_one_has_no_effect(both: Running) -> None:
    await tell(both, {"name": "loyalty_card"}, version=3)
    for late in (policy(version=2), policy(version=3)):
        assert (await both.store.put(TOLD, json=late)).json() == {"version": 3}
    # A process that starts now learns of the late one last.
    async with both.tracking.ingest() as fresh:
        said = track(context={"externalIds": [CARD]})
        assert (await fresh.post("/v1/track", json=said)).status_code == 200
    assert (await newest(both)).identifiers == [("user_id", "u1"), ("loyalty_card", "LC-77")]


async def test_a_policy_that_cannot_be_run_is_refused(both: Running) -> None:
    bad = policy()
    bad["namespaces"][0]["blocked"]["patterns"] = ["(?=x)"]
    answer = await both.store.put(TOLD, json=bad)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


@embedded_and_cluster
async def test_undeclared_external_ids_are_on_record_and_their_events_stay(both: Running) -> None:
    for user in ("u1", "u2"):
        await send(both, user=user, context={"externalIds": [CARD, CARD]})
    await send(both, context={"externalId": [{"type": "openid", "id": "o1"}]})
    await both.loaded(3)
    items = (await both.store.get(SEEN)).json()["items"]
    assert [(i["type"], i["declared"], i["events"]) for i in items] == [
        *(("loyalty_card", False, 2), ("openid", True, 1))
    ]
    await both.store.put(TOLD, json=policy({"name": "loyalty_card"}))
    items = (await both.store.get(SEEN, params={"days": 1})).json()["items"]
    assert [(i["type"], i["declared"]) for i in items] == [
        *(("loyalty_card", True), ("openid", False))
    ]
    refused: httpx2.Response = await both.store.get(SEEN, params={"days": 0})
    assert refused.status_code == 422


async def test_a_refused_event_is_replayed_by_the_policy_of_now(both: Running) -> None:
    nobody = {"event": "Seen", "context": {"externalIds": [CARD]}}
    assert (await both.ingest.post("/v1/track", json=nobody)).status_code == 400
    await both.store.put(TOLD, json=policy({"name": "loyalty_card"}))
    replayed = await both.store.post(
        "/api/v1/quarantine/replay", json={"filter": {"reason": "missing_id"}}
    )
    assert replayed.status_code == 200, replayed.text
    assert (await newest(both)).identifiers == [("loyalty_card", "LC-77")]
