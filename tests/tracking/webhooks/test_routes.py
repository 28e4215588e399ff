"""Webhooks over HTTP: configured, tried, signed, mapped, set aside and replayed."""

import gzip
import json
from typing import Any

import pytest

from tests.tracking.service import Running, eventually
from tests.tracking.webhooks.support import (
    KEY,
    ORDER_RULE,
    PATH,
    SECRET,
    STANDARD,
    configure,
    in_force,
    order,
    post,
    standard,
)

pytestmark = pytest.mark.anyio


async def test_a_signed_webhook_becomes_an_event(both: Running) -> None:
    await configure(both, signature=STANDARD, secrets={"one": SECRET})
    body = json.dumps(order()).encode()
    for _ in range(2):
        response = await post(both, body, **standard(body))
        assert (response.status_code, response.json()) == (200, {"success": True})
    (event, again) = await both.tracking.logged()
    assert (event.event, event.user_id, event.properties) == ("Order Placed", "7", '{"total":9.5}')
    assert event.message_id == again.message_id == "msg_1"
    await both.loaded(1)


async def test_a_wrong_signature_is_refused_and_nothing_is_kept(both: Running) -> None:
    await configure(both, signature=STANDARD, secrets={"one": SECRET})
    body = json.dumps(order()).encode()
    for headers in ({}, standard(body + b" "), standard(body, at=1), standard(body, b"x" * 24)):
        response = await post(both, body, **headers)
        assert (response.status_code, response.json()["code"]) == (401, "invalid_signature")
        assert response.json()["message"]
    assert (await both.tracking.logged(), await both.tracking.quarantined()) == ([], [])


async def test_secrets_are_never_shown_and_rotate_without_a_gap(both: Running) -> None:
    newer = "whsec_" + "bmV3ZXIgc2VjcmV0IG9mIDI0IGJ5dGVz"
    made = await configure(both, signature=STANDARD, secrets={"old": SECRET})
    assert [s["name"] for s in made.json()["secrets"]] == ["old"]
    # Everything else comes back as it was written.
    assert made.json()["mapping"] == {"rules": [ORDER_RULE]}
    await configure(both, signature=STANDARD, secrets={"old": None, "new": newer})
    body = json.dumps(order()).encode()
    assert (await post(both, body, **standard(body))).status_code == 200
    kept = await configure(both, signature=STANDARD)
    assert [s["name"] for s in kept.json()["secrets"]] == ["old", "new"]
    await configure(both, signature=STANDARD, secrets={"new": None})
    assert (await post(both, body, **standard(body))).status_code == 401
    shown = await both.store.get(PATH)
    assert SECRET not in (made.text + kept.text + shown.text)
    assert newer not in (kept.text + shown.text)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"signature": STANDARD}, "#/secrets"),
        ({"signature": STANDARD, "secrets": {"a": "no base64!"}}, "#/secrets/a"),
        ({"signature": STANDARD, "secrets": {"a/b": None}}, "#/secrets/a~1b"),
        ({"secrets": {"a": "12345678"}}, "#/secrets"),
        ({"secrets": {"a": "short"}}, "#/secrets/a"),
        (
            {
                "signature": {"scheme": "hmac", "header": "Authorization"},
                "secrets": {"a": "12345678"},
            },
            "#/signature/header",
        ),
        ({"signature": {"scheme": "magic"}}, "#/signature"),
        ({"mapping": {"rules": []}}, "#/mapping/rules"),
        ({"mapping": {"rules": [{"event": {}}]}}, "#/mapping/rules/0/event"),
        (
            {"mapping": {"rules": [{"event": {"pointer": "customer"}}]}},
            "#/mapping/rules/0/event/pointer",
        ),
        ({"mapping": {"rules": [{"sql": "x"}]}}, "#/mapping/rules/0/sql"),
    ],
)
async def test_what_cannot_be_configured_is_named(
    both: Running, change: dict[str, Any], pointer: str
) -> None:
    response = await configure(both, **change)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["pointer"] == pointer
    assert (await both.store.get(PATH)).status_code == 404


async def test_what_cannot_be_mapped_is_set_aside_and_passes_once_the_mapping_is_right(
    both: Running,
) -> None:
    wrong = {"each": "/orders", "rules": [ORDER_RULE | {"user_id": {"pointer": "/buyer"}}]}
    await configure(both, mapping=wrong)
    body = {"shop": "s1", "orders": [order(1), order(2, "much"), {"buyer": "u3"}]}
    assert (await post(both, body)).status_code == 200
    assert await both.tracking.quarantined() == [
        ("missing_id", "#/orders/0/buyer"),
        ("missing_id", "#/orders/1/buyer"),
    ]
    fields = {
        "total": {"pointer": "/total", "as": "number"},
        "shop": {"pointer": "/shop", "within": "body"},
    }
    right = ORDER_RULE | {"properties": {"fields": fields}}
    await configure(both, mapping={"each": "/orders", "rules": [right]})
    done = (await both.store.post("/api/v1/quarantine/replay", json={"filter": {}})).json()
    assert (done["replayed"], done["events"]) == (1, 1)
    assert [(r["reason"], r["pointer"]) for r in done["refused"]] == [("not_mapped", "#/total")]
    events = await both.tracking.logged()
    assert [(e.user_id, e.properties) for e in events] == [
        ("u3", "{}"), ("1", '{"total":9.5,"shop":"s1"}')
    ]  # fmt: skip


async def test_what_comes_before_there_is_a_mapping_waits_for_it(both: Running) -> None:
    headers = {"X-Topic": "orders"}
    for user in (1, 2):
        body = {"orders": [order(user), order(None)]}
        assert (await post(both, body, **headers)).status_code == 200
    assert await both.tracking.quarantined() == [("no_mapping", "#")] * 2
    replay = {"filter": {"reason": "no_mapping"}}
    still = (await both.store.post("/api/v1/quarantine/replay", json=replay)).json()
    assert [r["reason"] for r in still["refused"]] == ["no_mapping"] * 2
    rule = ORDER_RULE | {"when": [{"value": {"header": "X-Topic"}, "in": ["orders"]}]}
    await configure(both, mapping={"each": "/orders", "rules": [rule]})
    done = (await both.store.post("/api/v1/quarantine/replay", json=replay)).json()
    assert (done["replayed"], done["events"]) == (2, 2)
    await both.loaded(2)
    assert (await both.tracking.quarantined())[2:] == [("missing_id", "#/orders/1/customer/id")] * 2


async def test_items_that_no_rule_takes_are_skipped(both: Running) -> None:
    rule = ORDER_RULE | {"when": [{"value": {"pointer": "/kind"}, "in": ["order", None]}]}
    await configure(both, mapping={"each": "", "rules": [rule]})
    body = [order(1), {"kind": "ping"}, {**order(2), "kind": "order"}]
    assert (await post(both, body)).status_code == 200
    assert [e.user_id for e in await both.tracking.logged()] == ["1", "2"]
    assert await both.tracking.quarantined() == []
    assert (await post(both, [{"kind": "ping"}])).status_code == 200


async def test_a_body_that_is_no_json_is_a_400_and_gzip_is_read(both: Running) -> None:
    await configure(both, signature=STANDARD, secrets={"one": SECRET})
    for bad in (b"", b"{", b"a=b", b"\xff", b'{"a":NaN}'):
        response = await post(both, bad, **standard(bad))
        assert (response.status_code, response.json()["code"]) == (400, "malformed_body")
    packed = gzip.compress(json.dumps(order()).encode())
    assert (await post(both, packed, **standard(packed))).status_code == 200
    assert (len(await both.tracking.logged()), await both.tracking.quarantined()) == (1, [])


async def test_the_test_shows_what_a_sample_would_become_and_stores_nothing(both: Running) -> None:
    await configure(both, signature=STANDARD, secrets={"one": SECRET})
    body = json.dumps(order(total="1e2"))
    sample = {"body": body, "headers": standard(body.encode())}
    shown = (await both.store.post(f"{PATH}/test", json=sample)).json()
    assert shown["signature"]["accepted"] is True
    (event,) = shown["events"]
    assert (event["event"], event["user_id"], event["properties"]) == (
        "Order Placed", "7", {"total": 100.0}
    )  # fmt: skip
    assert event["message_id"] == "msg_1"
    assert (shown["refused"], shown["skipped"]) == ([], 0)
    assert (await both.tracking.logged(), await both.tracking.quarantined()) == ([], [])


async def test_the_test_names_the_line_of_the_mapping_that_failed(both: Running) -> None:
    draft = {"each": "/orders", "rules": [ORDER_RULE]}
    body = {"orders": [order(None), order(1, True), order(2)]}
    sample = {"body": body, "mapping": draft}
    shown = (await both.store.post(f"{PATH}/test", json=sample)).json()
    assert shown["signature"]["accepted"] is False
    assert [(r["reason"], r["pointer"], r["mapping"]) for r in shown["refused"]] == [
        ("missing_id", "#/orders/0/customer/id", "#/rules/0/user_id"),
        ("not_mapped", "#/orders/1/total", "#/rules/0/properties/fields/total"),
    ]
    assert [e["user_id"] for e in shown["events"]] == ["2"]


async def test_the_test_needs_json_and_a_mapping(both: Running) -> None:
    assert (await both.store.post(f"{PATH}/test", json={"body": {}})).status_code == 404
    await configure(both)
    wrong = await both.store.post(f"{PATH}/test", json={"body": "{"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "#/body")


async def test_a_removed_webhook_is_gone(both: Running) -> None:
    await configure(both, signature=STANDARD, secrets={"one": SECRET})
    assert (await both.store.delete(PATH)).status_code == 204
    assert (await both.store.delete(PATH)).status_code == 404
    assert (await both.store.get(PATH)).status_code == 404
    assert await both.tracking.sql("SELECT 1 FROM source_webhook") == []
    await in_force(both)

    async def unsigned_is_set_aside() -> bool:
        return (await post(both, order())).status_code == 200

    await eventually(unsigned_is_set_aside, what="the webhook gone from ingestion")
    assert await both.tracking.quarantined() == [("no_mapping", "#")]


async def test_another_key_of_the_secret_is_no_key(both: Running) -> None:
    await configure(both, signature=STANDARD, secrets={"one": SECRET})
    body = json.dumps(order()).encode()
    for key in (KEY[:-1], SECRET.encode(), b""):
        assert (await post(both, body, **standard(body, key))).status_code == 401
