"""The experiment node in the engine: sticky, counted once, pure."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.contracts.changes import Change
from services.kit.postgres import workspace_tx
from services.kit.problems import Unavailable
from services.orchestrator import workers
from services.orchestrator.experiments.choice import Arm, Trial
from services.orchestrator.journeys.split import arm_of
from tests.orchestrator.conftest import World
from tests.orchestrator.experiments.lab import SHOWN, come, lab, shown, where
from tests.support.app import service_headers

pytestmark = pytest.mark.anyio

ARMS = (Arm("a", 1), Arm("b", 1))


def expected(experiment_id: str, person: UUID) -> str:
    return arm_of(ARMS, experiment_id, person).id


def someone(world: World, experiment_id: str, variant: str) -> UUID:
    """Somebody whom the hash gives this variant."""
    while True:
        person = world.person()
        if expected(experiment_id, person) == variant:
            return person


async def exposures(world: World) -> list[tuple[str, str, bool]]:
    """person, variant, mixed."""
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        rows = await session.execute(
            text("SELECT profile_id, variant, mixed FROM exposure ORDER BY at, profile_id")
        )
        return [(str(row.profile_id), row.variant, row.mixed) for row in rows]


async def test_people_are_divided_by_hash_and_each_exposure_is_kept_and_told_once(
    world: World,
) -> None:
    journey_id, experiment_id = await lab(world)
    people = [world.person() for _ in range(40)]
    await come(world, *people)
    wanted = {str(person): expected(experiment_id, person) for person in people}
    assert set(wanted.values()) == {"a", "b"}
    assert shown(world) == wanted
    assert {person: variant for person, variant, _ in await exposures(world)} == wanted
    stats = (await world.get(f"/journeys/{journey_id}/stats"))["nodes"]["test"]["outcomes"]
    assert stats == {f"variant_{v}": list(wanted.values()).count(v) for v in "ab"}


async def test_coming_again_is_the_same_way_and_no_second_exposure(world: World) -> None:
    journey_id, experiment_id = await lab(world)
    person = world.person()
    for _ in range(2):
        await come(world, person)
        assert await where(world, journey_id, person) == expected(experiment_id, person)
        world.clock.advance(seconds=3_601)
        await world.settle()
    assert [each.event for each in world.neighbours.outcomes].count(SHOWN) == 1
    assert len(await exposures(world)) == 1


@pytest.mark.parametrize("winner_first", [True, False])
async def test_merged_people_keep_the_earlier_variant_and_are_marked(
    world: World, winner_first: bool
) -> None:
    journey_id, experiment_id = await lab(world)
    survivor, merged = (someone(world, experiment_id, each) for each in "ab")
    order = [survivor, merged] if winner_first else [merged, survivor]
    for person in order:
        await come(world, person)
        world.clock.advance(seconds=3_601)
        await world.settle()
    world.feed(Change("profile.merged", str(survivor), world.clock.now, {"merged_id": str(merged)}))
    await world.settle()
    kept = expected(experiment_id, order[0])
    assert await exposures(world) == [(str(survivor), kept, True)]
    await come(world, survivor)
    assert await where(world, journey_id, survivor) == kept
    assert len(await exposures(world)) == 1


async def test_a_merged_person_without_an_exposure_inherits_it(world: World) -> None:
    journey_id, experiment_id = await lab(world)
    survivor, merged = (someone(world, experiment_id, each) for each in "ab")
    await come(world, merged)
    world.clock.advance(seconds=3_601)
    world.feed(Change("profile.merged", str(survivor), world.clock.now, {"merged_id": str(merged)}))
    await world.settle()
    assert await exposures(world) == [(str(survivor), "b", False)]
    await come(world, survivor)
    assert await where(world, journey_id, survivor) == "b"


async def test_before_the_start_and_after_the_stop_everybody_goes_one_way(world: World) -> None:
    journey_id, experiment_id = await lab(world, start=False)
    early, late = (someone(world, experiment_id, each) for each in "ba")
    await come(world, early)
    assert await where(world, journey_id, early) == "a", "the fallback"
    await world.post(f"/experiments/{experiment_id}/start")
    world.clock.advance(seconds=3_601)
    await world.settle()
    await come(world, early, late)
    assert await where(world, journey_id, early) == "b"
    assert shown(world) == {str(early): "b", str(late): "a"}
    decision = {"decision": "winner", "variant": "b", "reason": "Better."}
    await world.post(f"/experiments/{experiment_id}/stop", decision)
    world.clock.advance(seconds=3_601)
    await world.settle()
    new = someone(world, experiment_id, "a")
    await come(world, late, new)
    assert await where(world, journey_id, late) == "b", "those shown the other, too"
    assert await where(world, journey_id, new) == "b"
    assert len(await exposures(world)) == 2


async def test_a_step_that_has_to_be_taken_again_exposes_once(world: World) -> None:
    _, experiment_id = await lab(world)
    person = world.person()
    world.feed(world.event(person, "Viewed"))
    await world.follow()

    world.neighbours.down.add("facts")
    with pytest.raises(Unavailable):
        await world.execute()
    assert await exposures(world) == []
    world.neighbours.down.clear()
    world.clock.advance(seconds=60)
    await world.settle()
    assert shown(world) == {str(person): expected(experiment_id, person)}


async def test_a_replay_divides_people_as_the_started_experiment_would(world: World) -> None:
    journey_id, experiment_id = await lab(world, start=False)
    people = [world.person() for _ in range(20)]
    for serial, person in enumerate(people):
        row = (str(person), "Viewed", f"p{serial}", 1_000 * serial, "{}", "{}")
        world.neighbours.past.append(row)
    response = await world.client.post(
        f"/api/v1/journeys/{journey_id}/replay",
        params={"deliver": "none"},
        json={"clock_until": "2000-01-01T00:00:00Z"},
    )
    while await workers.replay_once(world.engine, world.workspace):
        pass
    found = await world.get(f"/journeys/{journey_id}/replays/{response.json()['id']}")
    outcomes = found["result"]["stats"]["nodes"]["test"]["outcomes"]
    wanted = [expected(experiment_id, person) for person in people]
    assert outcomes == {f"variant_{each}": wanted.count(each) for each in "ab"}
    assert await exposures(world) == []


async def test_an_erased_person_is_no_longer_in_the_exposures(world: World) -> None:
    await lab(world)
    person = world.person()
    await come(world, person)
    body = {"profile_ids": [str(person)], "contacts": [], "position": 0}
    response = await world.client.post(
        "/internal/v1/erase",
        json=body,
        headers=service_headers("profile", "orchestrator", world.workspace_id),
    )
    assert response.status_code == 200, response.text
    assert await exposures(world) == []


def test_the_probability_of_a_choice_is_the_share_of_its_weight() -> None:
    trial = Trial("salt", (Arm("a", 3), Arm("b", 1)), "running", "a")
    chosen = [trial.choose(uuid4(), None) for _ in range(200)]
    assert {(each.variant, each.probability) for each in chosen} == {("a", 0.75), ("b", 0.25)}
    assert all(each.counts and each.chooser == "hash" for each in chosen)
    assert not trial.choose(uuid4(), "b").counts
