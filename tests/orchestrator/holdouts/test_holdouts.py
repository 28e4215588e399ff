"""Holdouts: kept out by hash, remembered with from and to, and counted as the others are."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.contracts.changes import Change
from services.kit.postgres import workspace_tx
from services.rules.bucket import bucket
from tests.orchestrator.conftest import World
from tests.orchestrator.experiments.lab import come, graph
from tests.orchestrator.journeys.graphs import delay, leave

pytestmark = pytest.mark.anyio

GLOBAL = "/holdouts/global"


async def put(world: World, path: str, percent: float) -> dict[str, Any]:
    response = await world.client.put(f"/api/v1{path}", json={"percent": percent})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def published(world: World, **more: Any) -> str:
    return await world.publish(graph(delay(3_600, "end"), leave("end"), **more))


def holds(holdout: dict[str, Any], person: UUID) -> bool:
    return bool(bucket(holdout["salt"], str(person)) < holdout["percent"] * 100)


def someone(
    world: World,
    holdout: dict[str, Any],
    *,
    held: bool,
    also: dict[str, Any] | None = None,
    inside: bool = False,
) -> UUID:
    """Somebody in or out of the holdout, and of another."""
    while True:
        person = world.person()
        if holds(holdout, person) == held and (also is None or holds(also, person) == inside):
            return person


async def refused(world: World, journey_id: str) -> dict[str, int]:
    return dict((await world.get(f"/journeys/{journey_id}/stats"))["refused"])


async def lift(world: World, journey_id: str) -> dict[str, Any]:
    [goal] = (await world.get(f"/journeys/{journey_id}/lift"))["goals"]
    return dict(goal)


def sides(comparison: dict[str, Any]) -> list[tuple[int, int]]:
    """(people, reached) of the treated and of the held out."""
    return [(comparison[e]["people"], comparison[e]["reached"]) for e in ("treated", "held_out")]


async def test_the_global_holdout_keeps_out_of_marketing_journeys_only(world: World) -> None:
    marketing = await published(world)
    service = await published(world, purpose="transactional")
    holdout = await put(world, GLOBAL, 50)
    out, in_ = (someone(world, holdout, held=each) for each in (True, False))
    await come(world, out, in_)
    assert await refused(world, marketing) == {"holdout": 1}
    assert await refused(world, service) == {}
    found = (await world.get(f"/journeys/{marketing}/participants"))["items"]
    assert [each["profile_id"] for each in found] == [str(in_)]


async def test_a_journeys_holdout_is_drawn_from_those_outside_the_global_one(world: World) -> None:
    journey_id, other = await published(world), await published(world)
    own = await put(world, f"/journeys/{journey_id}/holdout", 50)
    everywhere = await put(world, GLOBAL, 50)
    assert own["salt"] != everywhere["salt"]
    both, mine = (
        someone(world, own, held=True, also=everywhere, inside=each) for each in (True, False)
    )
    await come(world, both, mine)
    assert await refused(world, journey_id) == {"holdout": 1, "journey_holdout": 1}
    assert await refused(world, other) == {"holdout": 1}


async def test_goals_of_both_sides_are_counted_alike(world: World) -> None:
    journey_id = await published(world)
    holdout = await put(world, f"/journeys/{journey_id}/holdout", 50)
    out = [someone(world, holdout, held=True) for _ in range(4)]
    in_ = [someone(world, holdout, held=False) for _ in range(3)]
    await come(world, *out, *in_)
    await come(world, *out)
    world.clock.advance(seconds=60)
    world.feed(*(world.event(each, "Done") for each in (*out[:1], *in_[:2])))
    await world.settle()
    world.clock.advance(seconds=604_800)
    world.feed(world.event(out[1], "Done"), world.event(in_[2], "Done"))
    await world.settle()
    found = await lift(world, journey_id)
    assert sides(found["journey"]) == [(3, 2), (4, 1)]
    assert sides(found["overall"]) == [(7, 3), (0, 0)]
    assert found["journey"]["lift"] is None
    stats = await world.get(f"/journeys/{journey_id}/stats")
    assert stats["goals"]["done"]["people"] == 3, "of those let in, by its own, longer window"


async def test_the_lift_has_an_interval_once_there_are_enough_people(world: World) -> None:
    journey_id = await published(world)
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        for arm, people, reached in (("treated", 4_000, 800), ("held_out", 1_000, 100)):
            values = {"ws": world.workspace_id, "j": UUID(journey_id), "arm": arm, "n": people}
            await session.execute(
                text(
                    "WITH made AS (INSERT INTO holdout_arm SELECT :ws, gen_random_uuid(), :j, :j, "
                    ":arm, now(), '{}', false FROM generate_series(1, :n) RETURNING profile_id) "
                    "INSERT INTO holdout_goal SELECT :ws, profile_id, :j, 'done', now() "
                    "FROM made LIMIT :reached"
                ),
                {**values, "reached": reached},
            )
    found = (await lift(world, journey_id))["journey"]
    assert found["lift"]["estimate"] == pytest.approx(0.1)
    assert 0 < found["lift"]["low"] < 0.1 < found["lift"]["high"] < 0.2
    assert found["incremental"] == pytest.approx(400)


async def test_a_raised_share_keeps_its_members_and_every_change_is_remembered(
    world: World,
) -> None:
    first = await put(world, GLOBAL, 10)
    world.clock.advance(seconds=60)
    raised = await put(world, GLOBAL, 20)
    assert raised["salt"] == first["salt"]
    world.clock.advance(seconds=60)
    lowered = await put(world, GLOBAL, 5)
    assert await world.get(GLOBAL) == lowered
    times = ["2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z", "2027-01-15T08:02:00Z"]
    rows = [tuple(each.values()) for each in lowered["membership"]]
    assert rows == [
        (1_000, 2_000, times[1], times[2]),
        (0, 500, times[0], None),
        (500, 1_000, times[0], times[2]),
    ]
    world.clock.advance(seconds=60)
    assert (await put(world, GLOBAL, 5))["membership"] == lowered["membership"]
    ended = await put(world, GLOBAL, 0)
    assert all(each["valid_to"] for each in ended["membership"])


async def test_who_entered_before_is_not_counted_as_held_out(world: World) -> None:
    journey_id = await published(world)
    people = [world.person() for _ in range(6)]
    await come(world, *people)
    await put(world, f"/journeys/{journey_id}/holdout", 50)
    await come(world, *people)
    assert await refused(world, journey_id) == {"entered_before": 6}
    assert sides((await lift(world, journey_id))["journey"]) == [(0, 0), (0, 0)]


async def test_merged_people_of_two_arms_count_once_as_the_earlier_and_are_told(
    world: World,
) -> None:
    journey_id = await published(world)
    holdout = await put(world, f"/journeys/{journey_id}/holdout", 50)
    out, in_ = (someone(world, holdout, held=each) for each in (True, False))
    await come(world, out)
    world.clock.advance(seconds=60)
    await come(world, in_)
    for person in (out, in_):
        world.feed(world.event(person, "Done"))
    await world.settle()
    world.feed(Change("profile.merged", str(in_), world.clock.now, {"merged_id": str(out)}))
    await world.settle()
    found = (await lift(world, journey_id))["journey"]
    assert sides(found) == [(0, 0), (1, 1)]
    assert found["held_out"]["mixed"] == 1


async def test_a_holdout_of_an_unknown_journey_is_not_found(world: World) -> None:
    path = f"/api/v1/journeys/{uuid4()}"
    assert (await world.client.put(f"{path}/holdout", json={"percent": 1})).status_code == 404
    assert (await world.client.get(f"{path}/lift")).status_code == 404
    response = await world.client.put(f"/api/v1{GLOBAL}", json={"percent": 51})
    assert response.json()["errors"][0]["pointer"] == "#/percent"
