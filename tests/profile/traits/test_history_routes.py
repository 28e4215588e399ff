"""The history of a trait over HTTP."""

from typing import Any

import pytest

from services.contracts.events import Event
from services.profile.traits.ledger import KEPT
from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
ANONYMOUS = ("anonymous_id", "a1")
DAY = 86_400_000
NOON = 1_700_000_000_000


def said(world: World, *named: tuple[str, str], plan: Any, at: int = NOON) -> Event:
    return world.event(*named, type="identify", traits={"plan": plan}, at=at)


async def history(world: World, profile_id: str, **query: Any) -> list[Any]:
    page = await world.get(f"/profiles/{profile_id}/traits/plan/history", **query)
    return [(s["value"], s["counted"]) for s in page["items"]]


async def test_each_change_is_a_line_and_a_repetition_is_none(world: World) -> None:
    for plan, at in (("free", 1), ("free", 2), ("pro", 3), ("pro", 2), ("old", 0), (None, 4)):
        last = said(world, USER, plan=plan, at=at)
        await world.post(last)
    assert await history(world, last.subject_id) == [
        *((None, True), ("old", False), ("pro", True), ("free", True))
    ]
    page = await world.get(f"/profiles/{last.subject_id}/traits/plan/history", limit=1)
    assert page["items"][0] == {
        "value": None,
        "masked": False,
        "said_at": "1970-01-01T00:00:00.004000Z",
        "source_id": "source",
        "priority": 0,
        "counted": True,
        "subject_id": last.subject_id,
        "profile_id": last.subject_id,
    }
    assert await history(world, last.subject_id, limit=3, cursor=page["next_cursor"]) == [
        *(("old", False), ("pro", True), ("free", True))
    ]


async def test_merged_profiles_keep_their_lines_in_the_history_of_the_survivor(
    world: World,
) -> None:
    before = said(world, ANONYMOUS, plan="trial", at=NOON)
    known = said(world, USER, plan="pro", at=NOON - DAY)
    await world.post(before, known)
    # The last line of the block is said of the survivor.
    await world.post(world.event(USER, ANONYMOUS), said(world, ANONYMOUS, plan="vip", at=NOON + 1))
    for profile_id in (known.subject_id, before.subject_id):
        assert await history(world, profile_id) == [("vip", True), ("pro", True), ("trial", True)]
    page = await world.get(f"/profiles/{known.subject_id}/traits/plan/history")
    assert [(s["subject_id"], s["profile_id"]) for s in page["items"]] == [
        (before.subject_id, known.subject_id),
        (known.subject_id, known.subject_id),
        (before.subject_id, before.subject_id),
    ]


async def test_the_oldest_lines_of_a_trait_go(world: World) -> None:
    events = [said(world, USER, plan=number, at=NOON + number) for number in range(KEPT + 5)]
    other = world.event(USER, type="identify", traits={"city": "Köln"})
    await world.post(other, *events[:50])
    await world.post(*events[50:])
    values = [value for value, _ in await history(world, other.subject_id, limit=500)]
    assert values == [*range(KEPT + 4, 4, -1)]
    city = await world.get(f"/profiles/{other.subject_id}/traits/city/history")
    assert len(city["items"]) == 1


async def test_a_trait_nobody_spoke_of_has_no_history_and_an_unknown_profile_is_a_problem(
    world: World,
) -> None:
    event = world.event(USER)
    await world.post(event)
    assert await history(world, event.subject_id) == []
    path = f"/api/v1/profiles/{world.workspace_id}/traits/plan/history"
    assert (await world.call("GET", path)).status_code == 404
