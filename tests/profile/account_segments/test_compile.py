"""What a segment of accounts means: PostgreSQL answers as a plain reading in Python does."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from json import dumps
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from services.profile.account_segments.compile import condition, reads_accounts_only
from services.profile.account_segments.models import MembersCondition
from services.rules import Person, compile_memory, normalise
from tests.rules.strategies import PATHS, conditions, documents, trees
from tests.support.postgres import Database

SEGMENTS = [UUID(int=1), UUID(int=2)]
ROLES = ["buyer", "decider"]
NOW_MS = 0


@dataclass
class Someone:
    """A person in an account: roles, segments, and whether they still are in it."""

    roles: frozenset[str]
    segments: frozenset[UUID]
    removed: bool


@dataclass
class Company:
    traits: dict[str, Any]
    people: list[Someone] = field(default_factory=list)


people = st.builds(
    Someone,
    st.frozensets(st.sampled_from(ROLES)),
    st.frozensets(st.sampled_from(SEGMENTS)),
    st.sampled_from([False, False, True]),
)
companies = st.builds(Company, documents, st.lists(people, max_size=4))
asked = st.builds(
    MembersCondition,
    quantifier=st.sampled_from(["some", "none"]),
    role=st.sampled_from([None, *ROLES]),
    segment_id=st.sampled_from([None, *SEGMENTS]),
) | st.one_of(
    st.builds(
        MembersCondition,
        quantifier=st.just("every"),
        role=st.sampled_from([None, *ROLES]),
        segment_id=st.sampled_from(SEGMENTS),
    ),
    st.builds(
        MembersCondition,
        quantifier=st.just("at_least"),
        count=st.integers(1, 3),
        role=st.sampled_from([None, *ROLES]),
        segment_id=st.sampled_from([None, *SEGMENTS]),
    ),
)
rules = trees(conditions([*(f"account.{path}" for path in PATHS), "account.$group_id"]))


def plainly(company: Company, group_id: str, tree: Any, members: list[MembersCondition]) -> bool:
    """The obvious reading."""
    account = {**company.traits, "$group_id": group_id}
    if not compile_memory(normalise(tree))(Person(account=account), NOW_MS):
        return False
    return all(_holds(company, each) for each in members)


def _holds(company: Company, each: MembersCondition) -> bool:
    present = [p for p in company.people if not p.removed]
    looked_at = [p for p in present if each.role is None or each.role in p.roles]
    inside = [p for p in looked_at if each.segment_id is None or each.segment_id in p.segments]
    return {
        "some": bool(inside),
        "none": not inside,
        "every": bool(looked_at) and len(inside) == len(looked_at),
        "at_least": len(inside) >= (each.count or 0),
    }[each.quantifier]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    found = asyncio.new_event_loop()
    yield found
    found.close()


@given(
    st.lists(companies, min_size=1, max_size=5),
    st.lists(st.tuples(rules, st.lists(asked, max_size=2)), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_postgres_answers_as_the_plain_reading_does(
    profile_database: Database,
    loop: asyncio.AbstractEventLoop,
    some: list[Company],
    definitions: list[tuple[Any, list[MembersCondition]]],
) -> None:
    found = loop.run_until_complete(_ask(profile_database.owner_dsn, some, definitions))
    expected = [
        [plainly(company, f"g{n}", tree, members) for n, company in enumerate(some)]
        for tree, members in definitions
    ]
    assert found == expected


async def _ask(dsn: str, some: list[Company], definitions: Any) -> list[list[bool]]:
    engine = create_async_engine(dsn, poolclass=NullPool)
    workspace_id = uuid4()
    async with engine.connect() as connection:
        for number, company in enumerate(some):
            await _store(connection, workspace_id, number, company)
        answers = []
        for tree, members in definitions:
            compiled = condition(normalise(tree), members)
            rows = await connection.execute(
                text(
                    f"SELECT {compiled.sql} FROM account a WHERE a.workspace_id = :w"  # noqa: S608
                    " ORDER BY a.account_id"
                ),
                compiled.params | {"w": workspace_id},
            )
            answers.append(list(rows.scalars()))
        await connection.rollback()
    await engine.dispose()
    return answers


async def _store(
    connection: AsyncConnection, workspace_id: UUID, number: int, company: Company
) -> None:
    account_id = UUID(int=number + 1)
    await connection.execute(
        text(
            "INSERT INTO account (workspace_id, account_id, group_id, traits, first_seen_at,"
            " last_seen_at) VALUES (:w, :a, :g, CAST(:t AS jsonb), now(), now())"
        ),
        {"w": workspace_id, "a": account_id, "g": f"g{number}", "t": dumps(company.traits)},
    )
    for person in company.people:
        profile_id = uuid4()
        await connection.execute(
            text(
                "INSERT INTO account_member (workspace_id, account_id, profile_id, roles, since,"
                " last_at, removed_at, source) VALUES (:w, :a, :p, :r, now(), now(),"
                " CASE WHEN :gone THEN now() END, '')"
            ),
            {
                "w": workspace_id,
                "a": account_id,
                "p": profile_id,
                "r": sorted(person.roles),
                "gone": person.removed,
            },
        )
        for segment_id in person.segments:
            await connection.execute(
                text("INSERT INTO membership VALUES (:w, :p, :s, now())"),
                {"w": workspace_id, "p": profile_id, "s": segment_id},
            )


@pytest.mark.parametrize(
    ("node", "accepted"),
    [
        ({"field": "account.tier", "operator": "=", "value": "gold"}, True),
        ({"field": "account.$group_id", "operator": "=", "value": "acme"}, True),
        ({"field": "account.$roles", "operator": "contains", "value": "buyer"}, False),
        ({"field": "traits.tier", "operator": "=", "value": "gold"}, False),
        ({"event": "Order Completed"}, False),
    ],
)
def test_only_what_an_account_is_may_be_asked_of_it(node: dict[str, Any], accepted: bool) -> None:
    tree = {"combinator": "or", "not": True, "rules": [node]}
    assert reads_accounts_only(normalise(tree)) is accepted
