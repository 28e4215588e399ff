"""Facts and registered rules, as the orchestrator asks for them."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest

from services.contracts.profile import Facts
from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
ANONYMOUS = ("anonymous_id", "a1")
ORDERED = {"combinator": "and", "rules": [{"event": "Order Completed"}]}


async def register(world: World, rule: dict[str, Any], watch: bool = False) -> str:
    rule_id = str(uuid4())
    body = {"kind": "journey", "owner": "journey j branch b", "rule": rule, "watch": watch}
    answer = await world.call("PUT", f"/internal/v1/rules/{rule_id}", body)
    assert answer.status_code == 200, answer.text
    return rule_id


async def ask(world: World, **body: Any) -> Facts:
    answer = await world.call("POST", "/internal/v1/facts", body)
    assert answer.status_code == 200, answer.text
    return Facts.model_validate_json(answer.content)


async def test_facts_are_what_is_known_at_a_position_of_the_feed(world: World) -> None:
    rule_id = await register(world, ORDERED)
    context = {"consent": {"categoryPreferences": {"marketing": True, "ads": False}}}
    said = world.event(USER, ANONYMOUS, type="identify", traits={"age": 7}, context=context)
    await world.post(said, world.event(USER, name="Order Completed"))
    segment = await world.call(
        "POST", "/api/v1/segments", {"name": "All", "rule": {"combinator": "and", "rules": []}}
    )
    await world.until(lambda c: c.type == "segment.entered")
    facts = await ask(
        world, rule_ids=[rule_id], profile_ids=[said.subject_id], min_position=world.offset
    )
    [mine] = facts.profiles
    assert facts.position == world.offset
    assert str(mine.profile_id) == said.subject_id
    assert {str(k): v for k, v in mine.rules.items()} == {rule_id: True}
    assert mine.traits == {"age": 7}
    assert mine.identifiers == {"user_id": ["u1"], "anonymous_id": ["a1"]}
    assert mine.consents == {"marketing": "granted", "ads": "withdrawn"}
    assert [str(s) for s in mine.segments] == [segment.json()["id"]]


async def test_facts_follow_merges_and_keep_the_order_asked(world: World) -> None:
    before, known = world.event(ANONYMOUS), world.event(USER)
    await world.post(before, known)
    await world.post(world.event(USER, ANONYMOUS))
    nobody = str(uuid4())
    facts = await ask(world, profile_ids=[before.subject_id, nobody, known.subject_id])
    assert [(str(f.asked_id), str(f.profile_id), f.exists) for f in facts.profiles] == [
        (before.subject_id, known.subject_id, True),
        (nobody, nobody, False),
        (known.subject_id, known.subject_id, True),
    ]


async def test_a_position_that_is_not_reached_is_waited_for_and_then_unavailable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.profile.facts.routes.PATIENCE_SECONDS", 0.05)
    late = await world.call("POST", "/internal/v1/facts", {"profile_ids": [], "min_position": 1})
    assert late.status_code == 503
    assert int(late.headers["Retry-After"]) > 0


async def test_a_rule_whose_past_is_not_counted_yet_is_not_guessed(world: World) -> None:
    event = world.event(USER, name="Order Completed")
    await world.post(event)
    rule_id = await register(world, ORDERED)
    body = {"rule_ids": [rule_id], "profile_ids": [event.subject_id]}
    assert (await world.call("POST", "/internal/v1/facts", body)).status_code == 503
    body["rule_ids"] = [str(uuid4())]
    unknown = await world.call("POST", "/internal/v1/facts", body)
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/rule-not-found")


async def test_a_watched_rule_tells_when_its_truth_changes(world: World) -> None:
    rule = {
        "combinator": "and",
        "rules": [{"field": "traits.plan", "operator": "=", "value": "pro"}],
    }
    rule_id = await register(world, rule, watch=True)
    await world.post(world.event(USER))
    await world.ready(f"/internal/v1/rules/{rule_id}")
    for plan, value in (("pro", True), ("pro", None), ("free", False)):
        changes = await world.post(world.event(USER, type="identify", traits={"plan": plan}))
        told = [c.data for c in changes if c.type == "rule.matched"]
        assert told == ([] if value is None else [{"rule_id": rule_id, "value": value}])


async def test_an_unregistered_rule_is_forgotten(world: World) -> None:
    rule_id = await register(world, ORDERED)
    path = f"/internal/v1/rules/{rule_id}"
    assert (await world.call("GET", path)).json() == {"rule_id": rule_id, "state": "ready"}
    assert (await world.call("DELETE", path)).status_code == 204
    assert [(await world.call(m, path)).status_code for m in ("GET", "DELETE")] == [404, 404]


async def test_only_services_ask_for_facts(world: World, profile_app: object) -> None:
    headers = world.user
    asked: httpx2.Response = await world.client.post(
        "/internal/v1/facts", json={"profile_ids": []}, headers=headers
    )
    assert (asked.status_code, asked.json()["type"]) == (403, "/problems/forbidden")
