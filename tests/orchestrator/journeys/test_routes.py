"""Journeys over HTTP: drafts, publishing, what is refused and why."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.kit.pagination import encode_cursor
from services.orchestrator.journeys import registering
from services.orchestrator.journeys.model import EXAMPLE_GRAPH
from tests.orchestrator.conftest import World
from tests.orchestrator.journeys.graphs import branch, delay, leave

pytestmark = pytest.mark.anyio

SIMPLE = {
    "name": "Simple",
    "entry": {"kind": "event", "event": "Viewed", "next": "end"},
    "nodes": [leave("end")],
}


async def problem(world: World, path: str, body: Any, status: int, method: str = "POST") -> Any:
    response = await world.client.request(method, f"/api/v1{path}", json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


def pointers(body: Any) -> list[str]:
    return [error["pointer"] for error in body["errors"]]


def test_the_example_in_the_docs_is_the_one_in_the_api() -> None:
    shipped = Path("docs/examples/journey-offer-reminder.json").read_text(encoding="utf-8")
    assert json.loads(shipped) == {"graph": EXAMPLE_GRAPH}


async def test_the_shipped_example_runs_once_it_has_a_channel_and_a_template(world: World) -> None:
    graph = json.loads(json.dumps(EXAMPLE_GRAPH))
    graph["nodes"][1] |= {
        "channel_id": await world.email_channel(),
        "template_id": await world.template(),
    }
    journey_id = await world.publish(graph)
    person = world.person()
    offer: dict[str, Any] = {"offer_id": "o", "offer_type": "bogo"}
    world.feed(world.event(person, "Offer Received", **offer))
    world.feed(world.event(person, "Offer Viewed", **offer))
    await world.settle()
    world.clock.advance(seconds=72 * 3_600)
    await world.settle()
    assert world.mailbox.recipients == []
    world.clock.advance(seconds=1)
    await world.settle()
    assert world.mailbox.recipients == [f"{person}@example.com"]
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"reminded": 1}


async def test_a_draft_is_kept_as_written_and_says_what_is_missing(world: World) -> None:
    broken = {**SIMPLE, "nodes": [delay(1, "gone", "end")]}
    created = await world.post("/journeys", {"graph": broken})
    assert (created["state"], created["draft_revision"]) == ("draft", 1)
    assert created["graph"] == broken
    assert pointers({"errors": created["problems"]}) == ["#/graph/nodes/0/next"]
    refused = await problem(world, f"/journeys/{created['id']}/publish", {}, 422)
    assert refused["type"] == "/problems/journey-invalid"
    assert pointers(refused) == ["#/graph/nodes/0/next"]
    fixed = await world.client.put(f"/api/v1/journeys/{created['id']}", json={"graph": SIMPLE})
    assert (fixed.json()["problems"], fixed.json()["draft_revision"]) == ([], 2)


async def test_unknown_channels_and_templates_are_named(world: World) -> None:
    graph = await world.mail_graph()
    graph["nodes"][0] |= {"channel_id": str(uuid4()), "template_id": str(uuid4())}
    created = await world.post("/journeys", {"graph": graph})
    refused = await problem(world, f"/journeys/{created['id']}/publish", {}, 422)
    assert pointers(refused) == ["#/graph/nodes/0/channel_id", "#/graph/nodes/0/template_id"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"extra": 1}, "#/graph/extra"),
        ({"name": ""}, "#/graph/name"),
        ({"purpose": "spam"}, "#/graph/purpose"),
        ({"nodes": []}, "#/graph/nodes"),
        ({"nodes": [{"id": "a b", "type": "exit"}]}, "#/graph/nodes/0/id"),
        ({"nodes": [{"id": "a", "type": "teleport"}]}, "#/graph/nodes/0"),
        ({"max_event_age_seconds": 0}, "#/graph/max_event_age_seconds"),
        ({"entry": {"kind": "event", "event": "Viewed"}}, "#/graph/entry/next"),
        ({"entry": {"kind": "event", "next": "end"}}, "#/graph/entry/event"),
        ({"entry": {"kind": "event", "event": 7, "next": "end"}}, "#/graph/entry/event"),
    ],
)
async def test_the_shape_is_checked_when_a_draft_is_saved(
    world: World, change: dict[str, Any], pointer: str
) -> None:
    body = await problem(world, "/journeys", {"graph": {**SIMPLE, **change}}, 422)
    assert pointers(body) == [pointer]


async def test_publishing_registers_the_rules_of_branches(world: World) -> None:
    graph = {**SIMPLE, "nodes": [branch("end", "end"), leave("end")]}
    graph["entry"] = {**graph["entry"], "next": "branch"}  # type: ignore[dict-item]
    journey_id = await world.publish(graph)
    [registration] = world.neighbours.rules.values()
    assert registration.kind == "journey"
    assert journey_id in registration.owner
    assert registration.rule.rules[0].field == "traits.plan"  # type: ignore[union-attr]


async def three_channels(world: World) -> dict[str, Any]:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    hook = {"type": "webhook", "name": "H", "url": "https://x.example/", "secret": secret}
    channels = [(await world.post("/channels", hook))["id"] for _ in range(2)]
    graph = await world.mail_graph()
    graph["nodes"][0]["next"] = "h0"
    for index, channel in enumerate(channels):
        after = f"h{index + 1}" if index == 0 else "end"
        node = {"id": f"h{index}", "type": "webhook", "channel_id": channel, "next": after}
        graph["nodes"].append(node)
    return graph


async def test_three_channels_below_level_three_are_answered_with_a_warning(world: World) -> None:
    world.neighbours.ready(2, "warn")
    created = await world.post("/journeys", {"graph": await three_channels(world)})
    published = await world.post(f"/journeys/{created['id']}/publish")
    assert published["journey"]["state"] == "live"
    [warning] = published["warnings"]
    assert warning["code"] == "too_many_channels"
    assert "3 different channels" in warning["detail"]
    assert "level 2" in warning["detail"]
    assert warning["reasons"][0]["code"] == "level_below_3"


@pytest.mark.parametrize(("level", "mode"), [(3, "warn"), (4, "enforce"), (2, "off")])
async def test_a_ready_organization_publishes_without_a_warning(
    world: World, level: int, mode: str
) -> None:
    world.neighbours.ready(level, mode)
    created = await world.post("/journeys", {"graph": await three_channels(world)})
    assert (await world.post(f"/journeys/{created['id']}/publish"))["warnings"] == []


async def test_two_channels_need_no_readiness(world: World) -> None:
    world.neighbours.ready(1, "enforce")
    graph = await three_channels(world)
    graph["nodes"][2]["next"] = "end"
    del graph["nodes"][3]
    created = await world.post("/journeys", {"graph": graph})
    assert (await world.post(f"/journeys/{created['id']}/publish"))["warnings"] == []


async def test_enforced_readiness_refuses(world: World) -> None:
    world.neighbours.ready(2, "enforce")
    created = await world.post("/journeys", {"graph": await three_channels(world)})
    refused = await problem(world, f"/journeys/{created['id']}/publish", {}, 409)
    assert refused["type"] == "/problems/not-ready"
    assert refused["reasons"][0]["code"] == "level_below_3"
    assert (await world.get(f"/journeys/{created['id']}"))["state"] == "draft"


@pytest.mark.parametrize("how", ["down", "refused"])
async def test_an_unreachable_assessment_does_not_stop_publishing(world: World, how: str) -> None:
    getattr(world.neighbours, how).add("readiness")
    created = await world.post("/journeys", {"graph": SIMPLE})
    published = await world.post(f"/journeys/{created['id']}/publish")
    assert [warning["code"] for warning in published["warnings"]] == ["readiness_unknown"]
    assert published["journey"]["state"] == "live"


async def test_an_unreachable_profile_stops_publishing_with_503(world: World) -> None:
    world.neighbours.down.add("rules")
    graph = {**SIMPLE, "nodes": [branch("end", "end", id="end2"), leave("end")]}
    graph["entry"] = {**graph["entry"], "next": "end2"}  # type: ignore[dict-item]
    created = await world.post("/journeys", {"graph": graph})
    body = await problem(world, f"/journeys/{created['id']}/publish", {}, 503)
    assert body["type"] == "/problems/unavailable"
    assert (await world.get(f"/journeys/{created['id']}"))["state"] == "draft"


async def test_a_rule_that_profile_refuses_is_named(world: World) -> None:
    world.neighbours.refused.add("rules")
    graph = {**SIMPLE, "nodes": [branch("end", "end", id="b"), leave("end")]}
    graph["entry"] = {**graph["entry"], "next": "b"}  # type: ignore[dict-item]
    created = await world.post("/journeys", {"graph": graph})
    body = await problem(world, f"/journeys/{created['id']}/publish", {}, 422)
    assert pointers(body) == ["#/graph/nodes/0/branches/0/rule"]
    assert body["detail"] == "not like this"


async def test_an_entry_by_a_segment_that_profile_does_not_know_is_named(world: World) -> None:
    world.neighbours.refused.add("rules")
    entry = {"kind": "segment", "segment_id": str(UUID(int=7)), "next": "end"}
    created = await world.post("/journeys", {"graph": {**SIMPLE, "entry": entry}})
    body = await problem(world, f"/journeys/{created['id']}/publish", {}, 422)
    assert pointers(body) == ["#/graph/entry/segment_id"]


async def test_the_segment_of_an_entry_is_held_like_a_rule(world: World) -> None:
    entry = {"kind": "segment", "segment_id": str(UUID(int=7)), "next": "end"}
    created = await world.post("/journeys", {"graph": {**SIMPLE, "entry": entry}})
    await world.post(f"/journeys/{created['id']}/publish")
    [held] = world.neighbours.rules.values()
    assert [rule.model_dump(include={"field", "value"}) for rule in held.rule.rules] == [
        {"field": "segment", "value": str(UUID(int=7))}
    ]


async def test_states_change_only_where_that_makes_sense(world: World) -> None:
    created = await world.post("/journeys", {"graph": SIMPLE})
    path = f"/journeys/{created['id']}"
    assert (await problem(world, f"{path}/pause", {}, 409))["state"] == "draft"
    await world.post(f"{path}/publish")
    assert (await world.post(f"{path}/pause"))["state"] == "paused"
    assert (await world.post(f"{path}/pause"))["state"] == "paused"
    assert (await world.post(f"{path}/resume"))["state"] == "live"
    assert (await world.post(f"{path}/archive"))["state"] == "archived"
    for action in ("resume", "publish"):
        body = await problem(world, f"{path}/{action}", {}, 409)
        assert body["type"] == "/problems/journey-state-conflict"
    await problem(world, path, {"graph": SIMPLE}, 409, "PUT")


async def test_a_journey_archived_while_it_is_published_stays_archived(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await world.post("/journeys", {"graph": SIMPLE})
    path = f"/journeys/{created['id']}"
    ask = registering.readiness

    async def meanwhile(*arguments: Any) -> Any:
        await world.post(f"{path}/archive")
        return await ask(*arguments)

    monkeypatch.setattr("services.orchestrator.journeys.publishing.readiness", meanwhile)
    assert (await problem(world, f"{path}/publish", {}, 409))["state"] == "archived"
    assert (await world.get(path))["state"] == "archived"


async def test_an_idempotency_key_creates_once(world: World) -> None:
    header = {"Idempotency-Key": "abc"}
    one = await world.post("/journeys", {"graph": SIMPLE}, **header)
    two = await world.post("/journeys", {"graph": SIMPLE}, **header)
    other = await world.post("/journeys", {"graph": SIMPLE}, **{"Idempotency-Key": "def"})
    assert one["id"] == two["id"] != other["id"]


async def test_lists_are_paged_by_cursor(world: World) -> None:
    made = [(await world.post("/journeys", {"graph": SIMPLE}))["id"] for _ in range(3)]
    first = await world.get("/journeys", limit=2)
    second = await world.get("/journeys", limit=2, cursor=first["next_cursor"])
    assert [j["id"] for j in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None
    assert (await world.get("/journeys", state="live"))["items"] == []
    body = await world.client.get("/api/v1/journeys", params={"cursor": "WyJ4Il0"})
    assert pointers(body.json()) == ["#/query/cursor"]


async def test_every_version_is_kept_as_it_was_published(world: World) -> None:
    journey_id = await world.publish(SIMPLE)
    newer = {**SIMPLE, "name": "Newer"}
    await world.client.put(f"/api/v1/journeys/{journey_id}", json={"graph": newer})
    await world.post(f"/journeys/{journey_id}/publish")
    first = await world.get(f"/journeys/{journey_id}/versions", limit=1)
    rest = await world.get(f"/journeys/{journey_id}/versions", cursor=first["next_cursor"])
    found = first["items"] + rest["items"]
    assert [(v["number"], v["graph"]) for v in found] == [(2, newer), (1, SIMPLE)]
    assert rest["next_cursor"] is None
    beyond = await world.get(f"/journeys/{journey_id}/versions", cursor=encode_cursor(2**62))
    assert len(beyond["items"]) == 2


@pytest.mark.parametrize(
    "path",
    ["", "/stats", "/participants", "/versions", "/replays/01890000-0000-7000-8000-000000000000"],
)
async def test_what_does_not_exist_is_a_404(world: World, path: str) -> None:
    response = await world.client.get(f"/api/v1/journeys/{uuid4()}{path}")
    assert response.status_code == 404
    assert response.json()["type"].endswith("-not-found")
