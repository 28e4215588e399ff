"""Trends, funnels and signals give what a plain reading of the events gives."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from services.contracts.rules import EventNode, WhereGroup
from services.contracts.tracking import (
    FunnelQuery,
    FunnelStep,
    Series,
    SignalQuery,
    TrendQuery,
)
from services.kit.clickhouse import ClickHouse
from services.kit.problems import InvalidRequest
from services.tracking.analytics import service
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.events_table import StoredRow, store_events, store_mapping

pytestmark = [pytest.mark.anyio, embedded_and_cluster]

START = datetime(2024, 3, 29, tzinfo=UTC)
END = START + timedelta(days=5)
NAMES = ("View", "Cart", "Buy", "Other")
BIG = WhereGroup.model_validate(
    {"combinator": "and", "rules": [{"field": "properties.amount", "operator": ">", "value": 50}]}
)


@dataclass
class World:
    workspace_id: UUID
    rows: list[StoredRow]
    profile_of: dict[UUID, UUID] = field(default_factory=dict)

    def person(self, row: StoredRow) -> UUID:
        return self.profile_of.get(row.subject_id, row.subject_id)

    def by_person(self) -> Iterator[list[StoredRow]]:
        people: dict[UUID, list[StoredRow]] = {}
        for row in self.rows:
            people.setdefault(self.person(row), []).append(row)
        return iter(people.values())


def random_world(seed: int) -> World:
    """30 subjects, a third of them merged into others; coarse times, so that many are equal."""
    source = random.Random(seed)  # noqa: S311
    subjects = [uuid4() for _ in range(30)]
    rows = [
        StoredRow(
            subject_id=source.choice(subjects),
            event=source.choice(NAMES),
            occurred_at=START + timedelta(hours=source.randrange(0, 5 * 24, 4)),
            properties=source.choice(
                [{}, {"amount": source.randrange(100)}, {"amount": 12.5}, {"amount": "many"}]
            ),
            log_offset=offset,
        )
        for offset in range(1, 400)
    ]
    merged = {subject: source.choice(subjects[:20]) for subject in subjects[20:]}
    return World(uuid4(), rows, merged)


@pytest.fixture(params=range(2))
async def world(request: pytest.FixtureRequest, events_table: ClickHouse) -> World:
    made = random_world(request.param)
    await store_events(events_table, made.workspace_id, made.rows)
    await store_mapping(events_table, made.workspace_id, made.profile_of)
    # A neighbour with the same names, who must never be counted.
    await store_events(events_table, uuid4(), random_world(99).rows)
    return made


def step(*names: str, where: WhereGroup | None = None) -> FunnelStep:
    return FunnelStep(any_of=[EventNode(event=name, where=where) for name in names])


def is_big(row: StoredRow) -> bool:
    amount = row.properties.get("amount")
    return isinstance(amount, int | float) and amount > 50


def reached(
    rows: list[StoredRow], steps: list[set[str]], within: timedelta, only_big_last: bool
) -> int:
    """The most steps that can be taken in order, ties in order, all within the window."""

    def match(row: StoredRow, index: int) -> bool:
        wants_big = only_big_last and index == len(steps) - 1
        return row.event in steps[index] and (is_big(row) or not wants_big)

    best = 0
    for first in (r for r in rows if match(r, 0)):
        at, level = first.occurred_at, 1
        while level < len(steps):
            later = [
                r.occurred_at
                for r in rows
                if match(r, level) and at <= r.occurred_at <= first.occurred_at + within
            ]
            if not later:
                break
            at, level = min(later), level + 1
        best = max(best, level)
    return best


async def test_funnel(world: World, events_table: ClickHouse) -> None:
    for hours, only_big_last in product((4, 24, 120), (False, True)):
        await check_funnel(world, events_table, hours, only_big_last)


async def check_funnel(
    world: World, events_table: ClickHouse, hours: int, only_big_last: bool
) -> None:
    names = [{"View"}, {"Cart", "Other"}, {"Buy"}]
    query = FunnelQuery(
        since=START,
        until=END,
        within_seconds=hours * 3600,
        steps=[
            step("View"),
            step("Cart", "Other"),
            step("Buy", where=BIG if only_big_last else None),
        ],
    )
    funnel = await service.funnel(events_table, world.workspace_id, query)
    levels = [reached(r, names, timedelta(hours=hours), only_big_last) for r in world.by_person()]
    expected = [sum(level > i for level in levels) for i in range(3)]
    assert [s.people for s in funnel.steps] == expected
    for before, after in pairwise(funnel.steps):
        assert after.conversion_from_previous == pytest.approx(after.people / before.people)


async def test_trends(world: World, events_table: ClickHouse) -> None:
    """The days hold Europe's change to summer time (31 March 2024)."""
    zones = ("UTC", "Asia/Shanghai", "Europe/Berlin")
    for timezone, interval in product(zones, ("hour", "day", "week", "month", "total")):
        await check_trends(world, events_table, timezone, interval)


async def check_trends(
    world: World, events_table: ClickHouse, timezone: str, interval: str
) -> None:
    query = TrendQuery.model_validate(
        {
            "since": START.isoformat(),
            "until": END.isoformat(),
            "interval": interval,
            "timezone": timezone,
            "series": [
                {"event": "Buy"},
                {"event": "Buy", "measure": "people"},
                {"event": "Buy", "measure": "sum", "property": "amount"},
                {"measure": "count"},
            ],
        }
    )
    trend = await service.trend(events_table, world.workspace_id, query)
    expected: dict[tuple[int, datetime | None], Any] = {}
    for row in world.rows:
        at = None if interval == "total" else bucket(row.occurred_at, interval, timezone)
        if row.event == "Buy":
            expected[0, at] = expected.get((0, at), 0) + 1
            expected.setdefault((1, at), set()).add(world.person(row))
            amount = row.properties.get("amount", 0)
            expected[2, at] = expected.get((2, at), 0) + (0 if amount == "many" else amount)
        expected[3, at] = expected.get((3, at), 0) + 1
    numbers = {k: len(v) if isinstance(v, set) else v for k, v in expected.items()}
    assert {(p.series, p.at): p.value for p in trend.points} == pytest.approx(numbers)
    assert trend.points == sorted(trend.points, key=lambda p: (p.series, p.at or START))


def bucket(at: datetime, interval: str, timezone: str) -> datetime:
    local = at.astimezone(ZoneInfo(timezone)).replace(minute=0, second=0, microsecond=0)
    if interval == "hour":
        return local.astimezone(UTC)
    local = local.replace(hour=0)
    if interval == "week":
        local -= timedelta(days=local.weekday())
    if interval == "month":
        local = local.replace(day=1)
    return local.astimezone(UTC)


async def test_signals(world: World, events_table: ClickHouse) -> None:
    query = SignalQuery(
        since=START,
        until=END,
        signals={
            "views": EventNode(event="View"),
            "big": EventNode(event="Buy", where=BIG),
            "never": EventNode(event="Never"),
        },
    )
    counts = (await service.signals(events_table, world.workspace_id, query)).signals
    views = [r for r in world.rows if r.event == "View"]
    big = [r for r in world.rows if r.event == "Buy" and is_big(r)]
    assert counts["views"].count == len(views)
    assert counts["views"].people == len({world.person(r) for r in views})
    assert counts["views"].last_at == max(r.occurred_at for r in views)
    assert (counts["big"].count, counts["big"].people) == (
        len(big),
        len({world.person(r) for r in big}),
    )
    assert (counts["never"].count, counts["never"].last_at) == (0, None)


WRONG_QUERIES: list[tuple[dict[str, Any], str]] = [
    ({"until": START.isoformat()}, "#/until"),
    ({"since": "0001-01-01T00:00:00+14:00"}, "#/since"),
    ({"since": "0001-01-01T00:00:00Z"}, "#/since"),
    ({"until": "9999-12-31T23:59:59-14:00"}, "#/until"),
    ({"timezone": "Mars/Olympus"}, "#/timezone"),
    ({"series": [{"event": "Buy", "measure": "sum"}]}, "#/series/0/property"),
    ({"series": [{"event": "Buy", "property": "amount"}]}, "#/series/0/property"),
    (
        {
            "series": [
                {
                    "event": "Buy",
                    "where": {"rules": [{"field": "traits.x", "operator": "=", "value": 1}]},
                }
            ]
        },
        "#/series/0/where/rules/0/field",
    ),
]


async def test_a_wrong_query_is_answered_with_the_field(events_table: ClickHouse) -> None:
    for change, pointer in WRONG_QUERIES:
        query = TrendQuery.model_validate(
            {"since": START.isoformat(), "until": END.isoformat(), "series": [{}], **change}
        )
        with pytest.raises(InvalidRequest) as raised:
            await service.trend(events_table, uuid4(), query)
        assert raised.value.members["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("event", ["", "x" * 501])
def test_a_series_names_an_event_as_rules_do(event: str) -> None:
    with pytest.raises(ValidationError):
        Series(event=event)


async def test_series_over_nothing_are_empty(events_table: ClickHouse) -> None:
    query = TrendQuery(since=START, until=END, series=[Series(event="Buy")])
    assert (await service.trend(events_table, uuid4(), query)).points == []
