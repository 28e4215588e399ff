"""Clusterings over HTTP: proposed in the background, accepted into segments."""

import asyncio
from typing import Any

import pytest

from services.contracts.tracking import BehaviourQuery
from tests.profile.conftest import World
from tests.profile.predictions.conftest import BehaviourTracking, settled

pytestmark = pytest.mark.anyio

BODY = {"name": "spring", "traits": ["age", "plan"], "max_clusters": 4}


async def two_kinds_of_people(world: World) -> list[str]:
    """Ids of 40 people: the first 15 are old and pay, the others are young and do not."""
    events = [
        world.event(
            ("user_id", f"u{i:02}"),
            type="identify",
            traits={"age": 60 + i % 5, "plan": "pro"} if i < 15 else {"age": 20 + i % 5},
        )
        for i in range(40)
    ]
    await world.post(*events)
    return [event.subject_id for event in events]


async def cluster(world: World, **body: Any) -> tuple[str, dict[str, Any]]:
    made = await world.call("POST", "/api/v1/clusterings", {**BODY, **body})
    assert made.status_code == 202, made.text
    path = f"/clusterings/{made.json()['id']}"
    run = await settled(world, path, "run")
    assert (run["state"], run["reason"]) == ("done", None)
    return f"/api/v1{path}", await world.get(path)


async def test_proposed_clusters_become_segments_by_rule_and_by_people(world: World) -> None:
    ids = await two_kinds_of_people(world)
    path, found = await cluster(world)
    young, old = found["clusters"]
    assert (young["people"], old["people"], found["unassigned"]) == (25, 15, 0)
    assert found["silhouette"] > 0.8
    assert old["differences"][0]["text"]["en"].startswith(("Age is higher: 62", "100% have plan"))
    assert (old["rule_precision"], old["rule_recall"]) == (1, 1)

    for by, members in (("rule", ids[:15]), ("people", ids[:15])):
        accepted = await world.call(
            "POST", f"{path}/segments", {"cluster": 2, "name": f"Old, by {by}", "by": by}
        )
        assert accepted.status_code == 201, accepted.text
        segment = f"/segments/{accepted.json()['id']}"
        await world.ready(f"/api/v1{segment}", "status")
        listed = await world.get(f"{segment}/members")
        assert {m["profile_id"] for m in listed["items"]} == set(members)

    used = await world.call("DELETE", path)
    assert (used.status_code, used.json()["type"]) == (409, "/problems/prediction-in-use")
    newcomer = world.event(("user_id", "new"), type="identify", traits={"age": 66, "plan": "pro"})
    told = await world.post(newcomer)
    mine = [c for c in told if c.profile_id == newcomer.subject_id and c.type == "segment.entered"]
    assert len(mine) == 1, "a rule is alive, a list of people is not"


async def test_behaviour_and_preferences_are_asked_of_tracking(
    world: World, tracking: BehaviourTracking
) -> None:
    ids = await two_kinds_of_people(world)

    def answer(query: BehaviourQuery) -> dict[str, list[Any]]:
        if query.measure == "hours":
            return {"profile_id": ids, "hour": [9.0] * 20 + [130.0] * 20, "events": [3.0] * 40}
        columns: dict[str, Any] = {
            "days": 4.0,
            "first_day": 1.0,
            "last_day": 9.0,
            "total": 80.0,
            "first_value": 20.0,
        }
        return {"profile_id": ids[:10], **{k: [v] * 10 for k, v in columns.items()}}

    tracking.answer = answer
    path, found = await cluster(
        world,
        name="all_three",
        behaviour={"event": "Ordered", "value": "total"},
        preferences=True,
        algorithm="hdbscan",
        min_share=0.2,
    )
    assert sum(c["people"] for c in found["clusters"]) + found["unassigned"] == 40
    assert {d["source"] for c in found["clusters"] for d in c["differences"]} >= {"preference"}
    assert (await world.call("DELETE", path)).status_code == 204
    async with asyncio.timeout(30):
        body = {**BODY, "name": "all_three"}
        while (await world.call("POST", "/api/v1/clusterings", body)).status_code == 409:
            await world.feed(wait=0.02)


async def test_what_cannot_be_accepted_says_why(world: World) -> None:
    nothing = await world.call("POST", "/api/v1/clusterings", {"name": "none"})
    assert nothing.status_code == 422
    assert nothing.json()["errors"][0]["pointer"] == "#/traits"
    made = await world.call("POST", "/api/v1/clusterings", BODY)
    path = f"/api/v1/clusterings/{made.json()['id']}"
    early = await world.call("POST", f"{path}/segments", {"cluster": 1, "name": "x"})
    assert (early.status_code, early.json()["type"]) == (409, "/problems/cluster-not-ready")
    run = await settled(world, path.removeprefix("/api/v1"), "run")
    assert run["reason"] == "There are 0 people; 20 are needed."
    missing = await world.call("GET", f"/api/v1/predictions/{made.json()['id']}")
    assert missing.status_code == 404, "a clustering is no prediction"
