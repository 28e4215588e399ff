"""A journey that divides people by an experiment, and people who walk it."""

from typing import Any
from uuid import UUID

import msgspec

from services.orchestrator.experiments.model import EXAMPLE
from tests.orchestrator.conftest import World
from tests.orchestrator.journeys.graphs import delay, leave

SHOWN = "Experiment Exposed"


def plan(journey_id: str, measure: str = "people", **more: Any) -> dict[str, Any]:
    """A and B in halves; what counts is the goal `done` of the journey within a day."""
    metric: dict[str, Any] = {
        "kind": "goal",
        "journey_id": journey_id,
        "goal": "done",
        "measure": measure,
    }
    metric |= {"window_seconds": 86_400}
    variants = [{"id": "a"}, {"id": "b"}]
    named = {"variants": variants, "control": "a", "fallback": "a", "metric": metric}
    return {**EXAMPLE, **named, "minimum_seconds": 0, **more}


def graph(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Entered on `Viewed`, the first node first; the goal is `Done`."""
    entry = {"kind": "event", "event": "Viewed", "entry_mode": "after_exit"}
    goal = {"id": "done", "event": "Done", "value": "amount", "exits": False}
    goal["window_seconds"] = 604_800
    entry["next"] = nodes[0]["id"]
    return {"name": "Lab", "entry": entry, "nodes": list(nodes), "goals": [goal], **more}


def dividing(experiment_id: str, **more: Any) -> dict[str, Any]:
    """To the variants, an hour there, and out."""
    ways = [{"id": each, "next": f"to_{each}"} for each in "ab"]
    node = {"id": "test", "type": "experiment", "experiment_id": experiment_id, "variants": ways}
    rests = [delay(3_600, f"end_{each}", f"to_{each}") for each in "ab"]
    return graph({**node, **more}, *rests, leave("end_a"), leave("end_b"))


async def lab(world: World, *, start: bool = True, **more: Any) -> tuple[str, str]:
    """Ids of the journey, published, and of the experiment."""
    journey_id = (await world.post("/journeys", {"graph": graph(leave("end"))}))["id"]
    experiment_id = (await world.post("/experiments", plan(journey_id, **more)))["id"]
    body = {"graph": dividing(experiment_id)}
    response = await world.client.put(f"/api/v1/journeys/{journey_id}", json=body)
    assert response.status_code == 200, response.text
    await world.post(f"/journeys/{journey_id}/publish")
    if start:
        await world.post(f"/experiments/{experiment_id}/start")
    return journey_id, experiment_id


async def come(world: World, *people: UUID) -> None:
    for person in people:
        world.feed(world.event(person, "Viewed"))
    await world.settle()


def shown(world: World) -> dict[str, str]:
    """Variant by person, as told to the log."""
    return {
        each.profile_id: msgspec.json.decode(each.properties)["variant"]
        for each in world.neighbours.outcomes
        if each.event == SHOWN
    }


async def where(world: World, journey_id: str, person: UUID) -> str:
    """The variant on whose way the person is now."""
    path = f"/journeys/{journey_id}/participants"
    found = (await world.get(path, profile_id=str(person)))["items"]
    return str(found[0]["node"])[-1]
