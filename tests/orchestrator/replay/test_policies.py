"""What policies make of a replay's messages: the live judge in virtual time."""

from typing import Any

import pytest

from tests.orchestrator.conftest import World
from tests.orchestrator.policies.test_judge import QUIET
from tests.orchestrator.policies.test_sending import put
from tests.orchestrator.replay.test_routes import CLOCK, past, replay

pytestmark = pytest.mark.anyio

NOBODY = {
    "sent": 0,
    "capped": {},
    "waited_for_caps": 0,
    "quiet_holds": 0,
    "expired": 0,
    "withdrawn": 0,
    "unreachable": 0,
    "waiting": 0,
}
"""Hour 0 of these tests is 08:00 in Shanghai."""


async def draft(world: World, **more: Any) -> str:
    """On `Viewed`: a mail, and out two days later."""
    graph = await world.mail_graph(**more)
    graph["entry"]["entry_mode"] = "concurrent_by_key"
    graph["nodes"][0]["next"] = "later"
    graph["nodes"].insert(1, {"id": "later", "type": "delay", "seconds": 172_800, "next": "end"})
    return str((await world.post("/journeys", {"graph": graph}))["id"])


async def policies(world: World, journey_id: str, **clock: Any) -> dict[str, Any]:
    found = await replay(world, journey_id, "none", **(clock or CLOCK))
    assert found["state"] == "completed"
    told: dict[str, Any] = found["result"]["policies"]
    assert found["result"]["sends"] == sum(
        sum(each.values()) if isinstance(each, dict) else each
        for name, each in told.items()
        if name not in ("waited_for_caps", "quiet_holds")
    )
    return told


async def test_without_policies_a_replay_says_nothing_of_them(world: World) -> None:
    journey_id = await draft(world)
    past(world, world.person(), "Viewed", 1, offer_id="a")
    found = await replay(world, journey_id, "none", **CLOCK)
    assert found["result"]["policies"] is None


async def test_caps_skip_or_let_wait_as_they_would_live(world: World) -> None:
    journey_id = await draft(world)
    busy, calm = world.person(), world.person()
    for number, hour in enumerate((1, 2, 3, 30)):
        past(world, busy, "Viewed", hour, offer_id=f"o{number}")
    past(world, calm, "Viewed", 2, offer_id="a")
    cap = {"name": "daily", "limit": 1, "calendar": "day"}
    await put(world, caps=[cap])
    assert await policies(world, journey_id) == NOBODY | {"sent": 3, "capped": {"daily": 2}}
    world.neighbours.page_size = 1
    assert await policies(world, journey_id) == NOBODY | {"sent": 3, "capped": {"daily": 2}}
    await put(world, caps=[{**cap, "over": "wait"}], expiry={"marketing_seconds": 864_000})
    assert await policies(world, journey_id) == NOBODY | {"sent": 5, "waited_for_caps": 3}


async def test_quiet_hours_hold_in_the_zone_of_the_person(world: World) -> None:
    journey_id = await draft(world)
    here, there = world.person(), world.person(traits={"timezone": "America/New_York"})
    for person in (here, there):
        past(world, person, "Viewed", 15, offer_id="a")
    await put(world, quiet_hours=QUIET)
    assert await policies(world, journey_id) == NOBODY | {"sent": 2, "quiet_holds": 1}
    early = {"clock_until": "1970-01-01T23:59:59Z"}
    expected = NOBODY | {"sent": 1, "quiet_holds": 1, "waiting": 1}
    assert await policies(world, journey_id, **early) == expected
    await put(world, quiet_hours=QUIET, expiry={"marketing_seconds": 3_600})
    expected = NOBODY | {"sent": 1, "quiet_holds": 1, "expired": 1}
    assert await policies(world, journey_id) == expected


async def test_what_a_goal_ends_at_night_is_not_sent_in_the_morning(world: World) -> None:
    journey_id = await draft(world, exit_rules=[{"event": "Bought", "reason": "bought"}])
    for hour in (16, 25):
        person = world.person()
        past(world, person, "Viewed", 15, offer_id="a")
        world.neighbours.past.append(
            (str(person), "Bought", f"b{hour}", hour * 3_600_000, "{}", "{}")
        )
    world.neighbours.past.sort(key=lambda row: row[3])
    await put(world, quiet_hours=QUIET)
    expected = NOBODY | {"sent": 1, "quiet_holds": 2, "withdrawn": 1}
    assert await policies(world, journey_id) == expected


async def test_transactional_messages_always_go_and_nobody_is_reached_nowhere(
    world: World,
) -> None:
    journey_id = await draft(world, purpose="transactional")
    past(world, world.person(), "Viewed", 15, offer_id="a")
    past(world, world.person(identifiers={}), "Viewed", 15, offer_id="a")
    await put(world, quiet_hours=QUIET)
    assert await policies(world, journey_id) == NOBODY | {"sent": 1, "unreachable": 1}
