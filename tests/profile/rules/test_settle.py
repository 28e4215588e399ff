"""What is new about people is settled in portions, and none of it is lost between them."""

import pytest

from services.profile.rules import settle
from services.profile.rules.service import News
from services.rules import EMPTY
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.profile.segments.test_routes import create, crossings, group, order
from tests.profile.segments.test_time import DAY

LATELY = {"event": "Order Completed", "window": {"last_days": 7}}


def test_portions_share_out_everything_by_person() -> None:
    news = News(new_rules=True, fresh={"p1"})
    news.touched.nodes = {0: dict.fromkeys(("p1", "p2")), 3: dict.fromkeys(("p2", "p3"))}
    news.counted = {("p1", "a"): [1], ("p4", "a"): [2]}
    news.inherited = {("p3", "a"): [EMPTY]}
    news.overdue = [("p2", "b"), ("p5", "b")]
    news.lasted = [("p5", "r")]
    parts = settle.portions(news, 2)
    assert [len(_people(part)) for part in parts] == [2, 2, 1]
    assert sorted(p for part in parts for p in _people(part)) == ["p1", "p2", "p3", "p4", "p5"]
    for part in parts:
        assert part.new_rules
        assert part.fresh == {"p1"}
    assert {i: set(ids) for i, ids in parts[0].touched.nodes.items()} == {
        0: {"p1", "p2"},
        3: {"p2"},
    }
    assert [list(part.touched.nodes) for part in parts] == [[0, 3], [3], []]
    assert {key: each for part in parts for key, each in part.counted.items()} == news.counted
    assert {key: each for part in parts for key, each in part.inherited.items()} == news.inherited
    assert [key for part in parts for key in part.overdue] == news.overdue
    assert [pair for part in parts for pair in part.lasted] == news.lasted
    assert settle.portions(news, 5) == [news]


def _people(news: News) -> set[str]:
    keys = [*news.counted, *news.inherited, *news.overdue, *news.lasted]
    return {each for ids in news.touched.nodes.values() for each in ids} | {p for p, _ in keys}


@pytest.mark.anyio
async def test_all_portions_of_a_block_are_written_and_due(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "PEOPLE_AT_ONCE", 2)
    segment_id = await create(world, group(LATELY))
    await world.ready(f"/api/v1/segments/{segment_id}", "status")
    orders = [order(world, n, clock, days_ago=n / 10) for n in range(1, 8)]
    people = {each.subject_id for each in orders}
    assert {person for _, person in crossings(await world.post(*orders))} == people
    assert (await world.get(f"/segments/{segment_id}"))["members"] == 7
    clock.advance(8 * DAY)
    left: list[tuple[str, str]] = []
    while len(left) < 7:
        left += crossings(await world.until(lambda c: c.type == "segment.exited"))
    assert {person for _, person in left} == people
