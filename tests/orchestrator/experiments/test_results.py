"""Results out of the tables, and the decisions they allow."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.contracts.changes import Change
from services.kit.postgres import workspace_tx
from tests.orchestrator.conftest import World
from tests.orchestrator.experiments.lab import come, lab, shown

pytestmark = pytest.mark.anyio

DAY = 86_400


async def results(world: World, experiment_id: str) -> dict[str, Any]:
    return dict(await world.get(f"/experiments/{experiment_id}/results"))


async def expose(world: World, experiment_id: str, **people: int) -> None:
    """As many exposures as the engine would make in days, straight into the table."""
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        for variant, count in people.items():
            await session.execute(
                text(
                    "INSERT INTO exposure SELECT :ws, :id, gen_random_uuid(), :any, :any, :any, "
                    ":variant, 0.5, 'hash', now(), false FROM generate_series(1, :count)"
                ),
                {
                    "ws": world.workspace_id,
                    "id": UUID(experiment_id),
                    "any": uuid4(),
                    "variant": variant,
                    "count": count,
                },
            )


async def test_goals_within_the_window_count_for_the_variant_shown(world: World) -> None:
    _, experiment_id = await lab(world)
    people = [world.person() for _ in range(30)]
    world.feed(world.event(people[0], "Done"))
    await come(world, *people)
    variants = shown(world)
    world.clock.advance(seconds=60)
    world.feed(*(world.event(each, "Done", amount=5) for each in people[:10]))
    world.feed(world.event(people[0], "Done"))
    await world.settle()
    world.clock.advance(seconds=DAY)
    world.feed(world.event(people[20], "Done"))
    await world.settle()
    found = await results(world, experiment_id)
    for each in found["variants"]:
        mine = [str(p) for p in people if variants[str(p)] == each["id"]]
        reached = [p for p in map(str, people[:10]) if p in mine]
        assert each["people"] == len(mine)
        assert each["mean"] == pytest.approx(len(reached) / len(mine))
    assert found["sample_ratio"]["mismatch"] is False


async def test_amounts_are_summed_per_person(world: World) -> None:
    _, experiment_id = await lab(world, measure="value", expected=1, minimum_effect=1, deviation=4)
    people = [world.person() for _ in range(12)]
    await come(world, *people)
    variants = shown(world)
    # Another way through the journey may reach the goal again.
    for amount in (5, 2):
        world.feed(*(world.event(each, "Done", amount=amount) for each in people[:6]))
        world.clock.advance(seconds=3_601)
        await world.settle()
        await come(world, *people)
    found = {each["id"]: each["mean"] for each in (await results(world, experiment_id))["variants"]}
    for variant, mean in found.items():
        mine = [each for each in people if variants[str(each)] == variant]
        paid = [each for each in people[:6] if each in mine]
        assert mean == pytest.approx(7 * len(paid) / len(mine))


async def test_a_merged_pair_counts_once_and_is_told(world: World) -> None:
    _, experiment_id = await lab(world)
    people = [world.person() for _ in range(12)]
    await come(world, *people)
    variants = shown(world)
    one = next(each for each in people if variants[str(each)] == "a")
    other = next(each for each in people if variants[str(each)] == "b")
    world.feed(Change("profile.merged", str(one), world.clock.now, {"merged_id": str(other)}))
    await world.settle()
    found = (await results(world, experiment_id))["variants"]
    assert sum(each["people"] for each in found) == 11
    assert sum(each["mixed"] for each in found) == 1


async def test_a_winner_needs_people_divided_as_planned_or_a_reason(world: World) -> None:
    _, experiment_id = await lab(world)
    await expose(world, experiment_id, a=1_000, b=800)
    found = await results(world, experiment_id)
    assert found["suggestion"]["decision"] == "invalid"
    path = f"/experiments/{experiment_id}/stop"
    body = {"decision": "winner", "variant": "b", "reason": "We like it."}
    refused = await world.client.post(f"/api/v1{path}", json=body)
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/sample-ratio-mismatch"
    stopped = await world.post(path, {**body, "override_reason": "A filter, found and harmless."})
    decision = stopped["decision"]
    assert decision["override_reason"] == "A filter, found and harmless."
    assert decision["results"]["variants"] == found["variants"]
    assert (await world.get(f"/experiments/{experiment_id}"))["decision"] == decision


async def test_giving_up_needs_no_sound_numbers(world: World) -> None:
    _, experiment_id = await lab(world)
    await expose(world, experiment_id, a=1_000, b=800)
    body = {"decision": "fallback", "reason": "Broken."}
    assert (await world.post(f"/experiments/{experiment_id}/stop", body))["state"] == "stopped"
    assert (await results(world, experiment_id))["variants"][0]["people"] == 1_000


async def test_there_are_no_results_before_the_start(world: World) -> None:
    _, experiment_id = await lab(world, start=False)
    response = await world.client.get(f"/api/v1/experiments/{experiment_id}/results")
    assert response.status_code == 409
