"""Identify, alias, merge, undo and recount in any order, on the real services and a real database:
what holds of people after every step."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from services.contracts.events import Event
from services.kit.feeds import Bell
from services.kit.ids import uuid7
from services.kit.postgres import create_sessionmaker, workspace_tx
from services.kit.seal import Seal
from services.profile.clock import to_ms
from services.profile.erasure.personal import Person
from services.profile.errors import ProfilesAreOne
from services.profile.feed import store as feed
from services.profile.merges import service as merges
from services.profile.merges.graph import Edge, reachable
from services.profile.merges.service import Decision
from services.profile.recounts import service as recounts
from services.profile.recounts.service import Begun, Past
from services.profile.rules import registry
from services.profile.rules.service import RuleCache
from services.profile.rules.store import StoredRule
from services.profile.stream import store as stream
from services.profile.stream.block import Block
from services.profile.stream.consumer import Consumer, Resources
from services.profile.traits.store import PolicyCache
from services.rules import LeafState
from services.tracking.identity.fold import Link, fold
from tests.profile.clock import FakeClock
from tests.profile.tracking import event, leaf_rows
from tests.support.postgres import Database

T = TypeVar("T")
EVERY_EVENT = {
    "combinator": "and",
    "rules": [{"event": "Bought", "did": True, "count": {"operator": ">=", "value": 1}}],
}

user_ids = st.sampled_from([("user_id", f"u{n}") for n in range(3)])
emails = st.sampled_from([("email", f"{n}@example.org") for n in "xy"])
devices = st.sampled_from([("anonymous_id", f"a{n}") for n in range(4)])
named = st.tuples(st.none() | user_ids, st.none() | emails, st.none() | devices).map(
    lambda three: [each for each in three if each is not None]
)
blocks = st.lists(named.filter(bool), min_size=1, max_size=3)
numbers = st.integers(0, 10**6)


@dataclass
class Seen:
    """The whole identity graph of the workspace as the database has it."""

    living: dict[str, tuple[str | None, int]]
    """User id and identifier count by profile id."""
    aliases: dict[str, str]
    identifiers: list[tuple[str, str, str, str]]
    """(namespace, subject id, profile id, origin id)."""
    edges: list[Edge]
    decided: set[str]
    """Merges that stand and that somebody decided."""
    totals: dict[str, int]
    pending: set[str]

    def living_of(self, profile_id: str) -> str:
        return self.aliases.get(profile_id, profile_id)

    @property
    def owners(self) -> dict[str, str]:
        """Living profile by subject."""
        return {subject: profile for _, subject, profile, _ in self.identifiers}


@dataclass
class Home:
    """What all runs of the machine share: a database and an event loop."""

    runner: asyncio.Runner
    engine: AsyncEngine
    cache: RuleCache = field(default_factory=RuleCache)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


class People(RuleBasedStateMachine):
    def __init__(self, home: Home) -> None:
        super().__init__()
        self.home = home
        self.maker = create_sessionmaker(home.engine)
        self.workspace_id = uuid4()
        self.clock = FakeClock()
        self.past: list[Event] = []
        self.ids: list[str] = []
        """Every profile id that ever was."""
        self.mapped: dict[str, str] = {}
        self.fed = 0
        self.begun: Begun | None = None
        nobody: Any = None
        resources = Resources(
            *(home.engine, self.maker, nobody, nobody, Bell(), self.clock),
            *(home.cache, PolicyCache(), nobody, Seal("a key of this test run", Person)),
        )
        self.consumer = Consumer(resources, self.workspace_id, block_rows=1, retry_seconds=1)
        segment = StoredRule(uuid4(), "segment", "", EVERY_EVENT, True, "backfilling")
        self.tx(lambda session: registry.register(session, self.workspace_id, segment))
        self.now = self.look()

    def tx(self, work: Callable[[AsyncSession], Coroutine[Any, Any, T]]) -> T:
        async def within() -> T:
            async with workspace_tx(self.maker, self.workspace_id) as session:
                return await work(session)

        return self.home.run(within())

    @rule(block=blocks, alias=st.booleans())
    def happens(self, block: list[list[tuple[str, str]]], alias: bool) -> None:
        end = len(self.past) + 1
        kind: Any = "alias" if alias else "track"
        events = [
            event(self.workspace_id, *names, name="Bought", type=kind, at=1_700_000_000_000 + end)
            for names in block
        ]
        before = self.now
        # One log row per step: an offset is the number of the step's first event.
        at = Block(end + len(events) - 1, events, [(end << 20) + n for n in range(len(events))])
        self.home.run(self.consumer._write(len(self.past), at))
        self.past += events
        self.now = self.look()
        # One that began in this block may have been merged away in it.
        self.ids += sorted((self.now.living.keys() | self.now.aliases.keys()) - set(self.ids))
        revived = self.now.living.keys() & before.aliases.keys()
        assert not revived, "an event brought somebody back to life"

    @precondition(lambda self: self.ids)
    @rule(one=numbers, other=numbers)
    def merge(self, one: int, other: int) -> None:
        self.merged(one, other)

    @precondition(lambda self: self.now.edges)
    @rule(which=numbers)
    def undo(self, which: int) -> None:
        edge = self.now.edges[which % len(self.now.edges)]
        before = self.now
        self.undone(edge.merge_id)
        assert self.now.owners.keys() == before.owners.keys()
        split = {before.owners[s] for s in before.owners if before.owners[s] != self.now.owners[s]}
        assert split == {before.living_of(edge.merged)}, "an undo changed somebody else"

    @precondition(lambda self: self.ids)
    @rule(one=numbers, other=numbers)
    def merge_and_undo(self, one: int, other: int) -> None:
        before = self.now
        if (merge_id := self.merged(one, other)) is not None:
            self.undone(merge_id)
            assert (self.now.owners, self.now.living) == (before.owners, before.living)
            assert self.now.aliases == before.aliases

    @rule()
    def begin_counting_anew(self) -> None:
        self.begun = self.tx(lambda session: recounts.begin(session, self.workspace_id))

    @precondition(lambda self: self.begun is not None)
    @rule()
    def finish_counting_anew(self) -> None:
        begun = self.begun
        assert begun is not None
        self.begun = None
        query = {
            "leaves": {leaf.leaf_id: leaf.definition for leaf in begun.leaves},
            "subjects": begun.subjects,
        }
        names = ("total", "first", "last", "recent")
        rows = [
            (
                row["leaf_id"],
                row["profile_id"],
                LeafState.from_wire([*(row[n] for n in names), []]),
            )
            for row in leaf_rows(query, self.past[: begun.start_offset])
        ]

        async def finish(session: AsyncSession) -> None:
            place = await stream.lock(session, self.workspace_id)
            known = await self.home.cache.get(session, self.workspace_id, place.rules_revision)
            now_ms = to_ms(self.clock.now())
            settled = await recounts.finish(
                session, self.workspace_id, known, begun, Past(rows), now_ms
            )
            await feed.append(session, self.workspace_id, settled.changes)

        self.tx(finish)
        self.now = self.look()

    def merged(self, one: int, other: int) -> str | None:
        """The id of a new merge; None where both were one already."""
        ids = [self.ids[n % len(self.ids)] for n in (one, other)]
        decision = self.decision()
        work = (UUID(ids[0]), UUID(ids[1]), decision, self.home.cache)
        same = len({self.now.living_of(each) for each in ids}) == 1
        if same:
            with pytest.raises(ProfilesAreOne):
                self.tx(lambda session: merges.merge(session, self.workspace_id, *work))
            return None
        self.tx(lambda session: merges.merge(session, self.workspace_id, *work))
        self.now = self.look()
        return str(decision.decision_id)

    def undone(self, merge_id: str) -> None:
        work = (UUID(merge_id), self.decision())
        self.tx(lambda session: merges.unmerge(session, self.workspace_id, *work))
        self.now = self.look()

    def decision(self) -> Decision:
        return Decision(uuid7(), "because", "user:test", to_ms(self.clock.now()))

    @invariant()
    def everybody_who_ever_was_is_somebody_now(self) -> None:
        now = self.now
        assert {now.living_of(each) for each in self.ids} == now.living.keys()
        assert not now.living.keys() & now.aliases.keys()
        assert set(now.aliases.values()) <= now.living.keys()

    @invariant()
    def identifiers_belong_to_the_living_and_are_counted(self) -> None:
        now = self.now
        counts = Counter(profile for _, _, profile, _ in now.identifiers)
        assert counts == {each: count for each, (_, count) in now.living.items()}
        for _, _, profile, origin in now.identifiers:
            assert now.living_of(origin) == profile

    @invariant()
    def only_decisions_bring_known_people_together(self) -> None:
        now = self.now
        known = Counter(p for namespace, _, p, _ in now.identifiers if namespace == "user_id")
        decided = Counter(now.living_of(e.merged) for e in now.edges if e.merge_id in now.decided)
        for profile, (user_id, _) in now.living.items():
            assert (user_id is not None) == (known[profile] > 0)
            assert known[profile] <= 1 + decided[profile]

    @invariant()
    def merges_that_stand_hold_exactly_the_ids_of_a_person_together(self) -> None:
        for profile in self.now.living:
            ids = {each for each in self.ids if self.now.living_of(each) == profile}
            assert reachable(profile, self.now.edges) == ids

    @invariant()
    def tracking_reads_the_same_people_from_the_feed(self) -> None:
        for subject, profile in self.now.owners.items():
            assert self.mapped.get(subject, subject) == profile

    @invariant()
    def no_event_is_lost_or_counted_twice(self) -> None:
        now = self.now
        counts = Counter(now.owners[each.subject_id] for each in self.past)
        assert sum(counts.values()) == len(self.past)
        for profile in now.living.keys() - now.pending:
            assert now.totals.get(profile, 0) == counts[profile]

    def look(self) -> Seen:
        seen: Seen = self.tx(self._look)
        return seen

    async def _look(self, session: AsyncSession) -> Seen:
        async def rows(sql: str) -> list[Any]:
            return [tuple(row) for row in await session.execute(text(sql))]

        for row in await feed.read(session, self.workspace_id, self.fed, 100):
            moves = fold(row.entries(Link))
            gone = moves.profiles
            self.mapped = {s: gone.get(p, p) for s, p in self.mapped.items()} | moves.subjects
            self.fed = row.offset
        return Seen(
            {
                str(p): (user_id, count)
                for p, user_id, count in await rows(
                    "SELECT profile_id, user_id, identifier_count FROM profile"
                )
            },
            {str(a): str(p) for a, p in await rows("SELECT alias_id, profile_id FROM alias")},
            [
                (namespace, str(s), str(p), str(o))
                for namespace, s, p, o in await rows(
                    "SELECT namespace, subject_id, profile_id, origin_id FROM identifier"
                    " ORDER BY subject_id"
                )
            ],
            [
                Edge(*map(str, row))
                for row in await rows(
                    "SELECT merge_id, survivor_origin_id, merged_origin_id FROM merge"
                    " WHERE merge_id NOT IN (SELECT merge_id FROM unmerge) ORDER BY merge_id"
                )
            ],
            {str(m) for (m,) in await rows("SELECT merge_id FROM merge WHERE reason IS NOT NULL")},
            {str(p): total for p, total in await rows("SELECT profile_id, total FROM leaf_state")},
            {str(p) for (p,) in await rows("SELECT profile_id FROM recount")},
        )


def test_people_stay_whole_whatever_happens_to_them(profile_database: Database) -> None:
    with asyncio.Runner() as runner:
        engine = create_async_engine(profile_database.app_dsn)
        home = Home(runner, engine)
        machine: Any = lambda: People(home)  # noqa: E731 - a factory counts as a class
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        home.run(engine.dispose())
