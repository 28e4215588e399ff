"""New rules ask only those whom they may concern; nobody else is forgotten for that."""

from typing import Any
from uuid import UUID

import pytest

from services.profile.rules import backfill, candidates
from services.profile.rules.candidates import Candidates
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.profile.segments.test_routes import (
    PRO,
    create,
    crossings,
    group,
    identify,
    leaf_answer,
    order,
)
from tests.profile.segments.test_time import DAY

pytestmark = pytest.mark.anyio

LATELY = {"event": "Order Completed", "window": {"last_days": 7}}
NOT_LATELY = {**LATELY, "count": {"operator": "=", "value": 0}}


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """How many were asked by each new rule; None for everybody."""
    found: list[int | None] = []
    find = candidates.find

    async def counted(*args: Any) -> Candidates | None:
        people = await find(*args)
        found.append(None if people is None else len(people))
        return people

    monkeypatch.setattr(candidates, "find", counted)
    return found


def test_pages_hold_everybody_once_in_order() -> None:
    ids = [UUID(int=n * 7919) for n in range(11)]
    people = Candidates(b"".join(each.bytes for each in ids))
    assert len(people) == 11
    assert [each for start in range(0, 12, 4) for each in people.page(start, 4)] == ids
    assert people.page(11, 4) == []


async def test_few_are_asked_in_pages_and_all_of_them_enter(
    world: World, chosen: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "CHUNK", 2)
    people = [identify(world, n, plan="pro" if n < 5 else "free") for n in range(9)]
    await world.post(*people)
    segment_id = await create(world, group(PRO))
    assert (await world.ready(f"/api/v1/segments/{segment_id}", "status"))["members"] == 5
    assert chosen == [5]


async def test_a_candidate_who_is_gone_when_asked_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.post(identify(world, 1, plan="pro"))
    find = candidates.find

    async def stale(*args: Any) -> Candidates:
        found = await find(*args)
        assert found is not None
        return Candidates(UUID(int=1).bytes + b"".join(i.bytes for i in found.page(0, 9)))

    monkeypatch.setattr(candidates, "find", stale)
    segment_id = await create(world, group(PRO))
    assert (await world.ready(f"/api/v1/segments/{segment_id}", "status"))["members"] == 1


async def test_who_will_belong_by_time_alone_is_found_when_it_is_time(
    world: World, clock: FakeClock, chosen: list[int | None]
) -> None:
    bought = order(world, 1, clock, days_ago=3)
    await world.post(bought, identify(world, 2))
    world.tracking.leaf_answers.append(
        leaf_answer(LATELY, {bought.subject_id: [bought.occurred_at]})
    )
    segment_id = await create(world, group(NOT_LATELY))
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", identify(world, 2).subject_id)]
    await world.ready(f"/api/v1/segments/{segment_id}", "status")
    assert chosen == [2]
    clock.advance(5 * DAY)
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", bought.subject_id)]


async def test_members_whom_a_new_definition_leaves_out_are_asked_and_leave(
    world: World, chosen: list[int | None]
) -> None:
    await world.post(identify(world, 1, plan="pro"), identify(world, 2, plan="free"))
    segment_id = await create(world, group(PRO))
    await world.until(lambda c: c.type == "segment.entered")
    await world.ready(f"/api/v1/segments/{segment_id}", "status")
    free = {"field": "traits.plan", "operator": "=", "value": "free"}
    body = {"name": "A segment", "rule": group(free)}
    assert (await world.call("PUT", f"/api/v1/segments/{segment_id}", body)).status_code == 200
    moved = await world.until(lambda c: c.type == "segment.entered")
    if len(crossings(moved)) < 2:
        moved += await world.until(lambda c: c.type == "segment.exited")
    assert sorted(crossings(moved)) == [
        ("segment.entered", identify(world, 2).subject_id),
        ("segment.exited", identify(world, 1).subject_id),
    ]
    assert chosen == [1, 2]


async def test_where_a_query_cannot_tell_everybody_is_asked(
    world: World, chosen: list[int | None]
) -> None:
    await world.post(identify(world, 1, plan="pro"))
    segment_id = await create(world, group(PRO))
    await world.ready(f"/api/v1/segments/{segment_id}", "status")
    inside = {"field": "segment", "operator": "=", "value": segment_id}
    second = await create(world, group(inside), "Inside")
    assert (await world.ready(f"/api/v1/segments/{second}", "status"))["members"] == 1
    assert chosen == [1, None]
