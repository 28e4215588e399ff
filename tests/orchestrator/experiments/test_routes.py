"""Experiments over HTTP: planned, started once, stopped with a decision."""

from typing import Any
from uuid import uuid4

import pytest

from tests.orchestrator.conftest import World
from tests.orchestrator.experiments.lab import dividing, graph, lab, plan
from tests.orchestrator.journeys.graphs import leave

pytestmark = pytest.mark.anyio


async def journey(world: World) -> str:
    return str((await world.post("/journeys", {"graph": graph(leave("end"))}))["id"])


async def refused(world: World, path: str, body: Any, method: str = "POST") -> tuple[int, Any]:
    response = await world.client.request(method, f"/api/v1{path}", json=body)
    problem = response.json()
    return response.status_code, [each["pointer"] for each in problem.get("errors", ())]


async def test_a_plan_is_answered_with_the_people_it_needs(world: World) -> None:
    made = await world.post("/experiments", plan(await journey(world)))
    assert made["state"] == "draft"
    # 10 % against 12 %, alpha 0.05, power 0.8: R's power.prop.test says 3840.847.
    assert made["sample_size"]["once"] == 3_841
    assert 3_841 < made["sample_size"]["always"] < 3 * 3_841
    assert await world.get(f"/experiments/{made['id']}") == made
    assert (await world.get("/experiments", state="draft"))["items"] == [made]
    assert (await world.get("/experiments", state="running"))["items"] == []


async def test_amounts_need_their_deviation_and_more_variants_more_people(world: World) -> None:
    body = plan(await journey(world))
    value = {**body, "metric": {**body["metric"], "measure": "value"}}
    assert (await refused(world, "/experiments", value))[0] == 422
    wide = {**value, "expected": 20, "minimum_effect": 1, "deviation": 10}
    two = (await world.post("/experiments", wide))["sample_size"]
    three = {**wide, "variants": [{"id": each} for each in "abc"]}
    more = (await world.post("/experiments", three))["sample_size"]
    assert two["once"] == pytest.approx(1_571, abs=1)
    assert more["once"] > two["once"]
    assert more["always"] > two["always"]


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"variants": [{"id": "a"}]}, ["#/variants"]),
        ({"variants": [{"id": "a"}, {"id": "a"}]}, ["#"]),
        ({"control": "z"}, ["#"]),
        ({"fallback": "z"}, ["#"]),
        ({"expected": 0.99}, ["#"]),
        ({"minimum_effect": 0}, ["#/minimum_effect"]),
        ({"surprise": 1}, ["#/surprise"]),
    ],
)
async def test_a_plan_that_cannot_be_is_refused(
    world: World, change: dict[str, Any], pointers: list[str]
) -> None:
    body = plan(await journey(world), **change)
    status, found = await refused(world, "/experiments", body)
    assert (status, found) == (422, pointers)


async def test_metrics_name_goals_that_there_are(world: World) -> None:
    body = plan(await journey(world))
    nowhere = {**body["metric"], "journey_id": str(uuid4())}
    assert await refused(world, "/experiments", {**body, "metric": nowhere}) == (
        422,
        ["#/metric/journey_id"],
    )
    other = {**body["metric"], "goal": "other"}
    guard = [{"name": "Other", "metric": other, "harm": "higher"}]
    assert await refused(world, "/experiments", {**body, "guardrails": guard}) == (
        422,
        ["#/guardrails/0/metric/goal"],
    )


async def test_nothing_of_the_plan_changes_once_it_runs(world: World) -> None:
    journey_id, experiment_id = await lab(world, start=False)
    path = f"/experiments/{experiment_id}"
    changed = plan(journey_id, name="Otherwise")
    response = await world.client.put(f"/api/v1{path}", json=changed)
    assert response.json()["name"] == "Otherwise"
    renamed = plan(journey_id, variants=[{"id": "a"}, {"id": "c"}])
    assert await refused(world, path, renamed, "PUT") == (422, ["#/variants"])
    started = await world.post(f"{path}/start")
    assert (started["state"], started["started_at"]) == ("running", "2027-01-15T08:00:00Z")
    world.clock.advance(seconds=60)
    assert await world.post(f"{path}/start") == started
    assert (await refused(world, path, plan(journey_id), "PUT"))[0] == 409


async def test_it_is_stopped_once_with_a_decision(world: World) -> None:
    _, experiment_id = await lab(world, start=False)
    path = f"/experiments/{experiment_id}"
    give_up = {"decision": "fallback", "reason": "Not now."}
    assert (await refused(world, f"{path}/stop", give_up))[0] == 409
    await world.post(f"{path}/start")
    for decision, variant in (("winner", None), ("winner", "z"), ("inconclusive", "b")):
        body = {"decision": decision, "variant": variant, "reason": "So."}
        assert await refused(world, f"{path}/stop", body) == (422, ["#/variant"])
    stopped = await world.post(f"{path}/stop", give_up)
    assert (stopped["state"], stopped["decision"]["variant"]) == ("stopped", "a")
    assert stopped["decision"]["by"]
    assert (await refused(world, f"{path}/stop", give_up))[0] == 409
    assert (await refused(world, f"{path}/start", None))[0] == 409


async def test_an_unknown_experiment_is_not_found(world: World) -> None:
    path = f"/api/v1/experiments/{uuid4()}"
    assert (await world.client.get(path)).json()["type"] == "/problems/experiment-not-found"
    assert (await world.client.post(f"{path}/start")).status_code == 404


async def test_a_journey_gives_each_variant_of_an_experiment_that_there_is_a_way(
    world: World,
) -> None:
    journey_id, experiment_id = await lab(world)
    ways = [{"id": each, "next": f"to_{each}"} for each in "ab"]
    for graph_, pointer in (
        (dividing(str(uuid4())), "#/graph/nodes/0/experiment_id"),
        (dividing(experiment_id, variants=[ways[0], {**ways[1], "id": "c"}]), "variants"),
        (dividing(experiment_id, variants=[*ways, ways[0]]), "variants"),
    ):
        saved = await world.client.put(f"/api/v1/journeys/{journey_id}", json={"graph": graph_})
        [problem] = saved.json()["problems"]
        assert problem["pointer"].endswith(pointer)
        assert (
            await world.client.post(f"/api/v1/journeys/{journey_id}/publish")
        ).status_code == 422


async def test_a_journey_in_a_file_finds_its_experiment_by_name(world: World) -> None:
    _, experiment_id = await lab(world)
    elsewhere = str(uuid4())
    body = {
        "graph": dividing(elsewhere),
        "references": {"experiments": {elsewhere: "Reminder wording"}},
    }
    response = await world.client.put("/api/v1/journey-files/lab", json=body)
    assert response.status_code == 200, response.text
    applied = response.json()
    assert applied["after"]["nodes"][0]["experiment_id"] == experiment_id
    assert applied["problems"] == []
    file = await world.get("/journey-files/lab")
    assert file["references"]["experiments"] == {experiment_id: "Reminder wording"}
