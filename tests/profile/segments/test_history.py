"""What became of segments over HTTP: versions, who came and went, how far a new one has got."""

from datetime import timedelta
from typing import Any

import pytest

from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.profile.segments.test_routes import PRO, create, group, identify

pytestmark = pytest.mark.anyio
FREE = {"field": "traits.plan", "operator": "=", "value": "free"}


def whole(rule: dict[str, Any]) -> dict[str, Any]:
    """As it is kept, with what was left out."""
    return {**group(rule), "not": False}


async def test_each_change_of_a_segment_is_a_version_that_can_be_had_again(world: World) -> None:
    free = identify(world, 1, plan="free")
    await world.post(free)
    segment_id = await create(world, group(PRO), "Plan")
    path = f"/api/v1/segments/{segment_id}"
    for _ in range(2):
        # The same again is no change.
        changed = await world.call("PUT", path, {"name": "Plan", "rule": group(FREE)})
        assert changed.json()["version"] == 2
    found = await world.get(f"/segments/{segment_id}/versions", limit=1)
    assert [(v["version"], v["rule"], v["made_by"]) for v in found["items"]] == [
        (2, whole(FREE), "user:test")
    ]
    older = await world.get(f"/segments/{segment_id}/versions", cursor=found["next_cursor"])
    assert [(v["version"], v["rule"]) for v in older["items"]] == [(1, whole(PRO))]
    await world.until(lambda c: c.type == "segment.entered")
    restored = await world.call("POST", f"{path}/versions/1/restore")
    assert (restored.json()["version"], restored.json()["rule"]) == (3, whole(PRO))
    left = await world.until(lambda c: c.type == "segment.exited")
    assert left[-1].profile_id == free.subject_id
    for version in (0, 7, 10**12):
        gone = await world.call("POST", f"{path}/versions/{version}/restore")
        assert gone.status_code == 422


async def test_a_ready_segment_has_looked_at_everybody(world: World) -> None:
    await world.post(identify(world, 1, plan="pro"))
    segment_id = await create(world, group(PRO))
    read = await world.ready(f"/api/v1/segments/{segment_id}", "status")
    assert (read["progress"], read["members"]) == (1, 1)


async def test_who_came_and_went_is_counted_by_day_and_kept_by_person(
    world: World, clock: FakeClock
) -> None:
    segment_id = await create(world, group(PRO), "Pro")
    since = (clock.now() - timedelta(hours=1)).isoformat()
    one, two = identify(world, 1, plan="pro"), identify(world, 2, plan="pro")
    await world.post(one, two)
    clock.advance(timedelta(days=2))
    await world.post(identify(world, 1, plan="free"))
    found = await world.get(f"/segments/{segment_id}/history", since=since)
    assert [(i["start"][:10], i["entered"], i["exited"], i["members"]) for i in found["items"]] == [
        ("2026-03-01", 2, 0, 2),
        ("2026-03-03", 0, 1, 1),
    ]
    mine = await world.get(f"/profiles/{one.subject_id}/segments/history", limit=1)
    assert [(c["name"], c["entered"]) for c in mine["items"]] == [("Pro", False)]
    before = await world.get(
        f"/profiles/{one.subject_id}/segments/history", cursor=mine["next_cursor"]
    )
    assert [(c["name"], c["entered"]) for c in before["items"]] == [("Pro", True)]
    assert before["next_cursor"] is None


async def test_days_begin_in_the_zone_that_is_asked_for(world: World, clock: FakeClock) -> None:
    segment_id = await create(world, group(PRO))
    since = (clock.now() - timedelta(hours=1)).isoformat()
    clock.advance(timedelta(hours=5))
    await world.post(identify(world, 1, plan="pro"))
    found = await world.get(
        f"/segments/{segment_id}/history", since=since, timezone="Asia/Shanghai"
    )
    # 17:00 in London is past midnight there.
    assert [i["start"] for i in found["items"]] == ["2026-03-01T16:00:00Z"]
    answer = await world.client.get(
        f"/api/v1/segments/{segment_id}/history",
        params={"timezone": "Mars/Olympus"},
        headers=world.user,
    )
    assert answer.json()["errors"][0]["pointer"] == "#/query/timezone"


async def test_a_preview_tells_of_overlaps_and_of_who_can_be_reached(world: World) -> None:
    await world.post(
        world.event(
            ("user_id", "u1"), ("email", "a@example.com"), traits={"plan": "pro"}, type="identify"
        ),
        identify(world, 2, plan="pro"),
        identify(world, 3, plan="free"),
    )
    everybody = await create(world, group(), "Everybody")
    pro = await create(world, group(PRO), "Pro")
    for segment_id in (everybody, pro):
        await world.ready(f"/api/v1/segments/{segment_id}", "status")
    answer = await world.call("POST", "/api/v1/segments/preview", {"rule": group(PRO)})
    found = answer.json()
    assert (found["count"], found["total"]) == (2, 3)
    assert [(o["name"], o["people"]) for o in found["overlaps"]] == [("Everybody", 2), ("Pro", 2)]
    assert found["reach"] == {"email": 1, "user_id": 2}
