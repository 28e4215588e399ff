"""The two databases the compiled conditions run on, with the columns the compilers expect."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from services.rules import LeafState, Person
from services.rules.binds import Compiled, ParamValue
from services.rules.compile_clickhouse import PersonCondition
from services.rules.memory import PastEvent


def prefixes(n: int) -> list[str]:
    """Return `n` prefixes, so that several conditions can share one query."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [f"p_{letters[i // 26]}{letters[i % 26]}_" for i in range(n)]


_TABLES = """
CREATE TABLE profile (profile_id int PRIMARY KEY, traits jsonb, computed jsonb, account jsonb,
  segments text[], stage text, consents jsonb);
CREATE TABLE leaf_state (profile_id int, leaf_id text, total bigint, recent bigint[],
  bucket_index bigint[], bucket_count bigint[], PRIMARY KEY (profile_id, leaf_id));
CREATE TABLE held (profile_id int, rule_id text, entered_at timestamptz);
"""


@dataclass
class PostgresPeople:
    """A `profile` table, filled and asked in one transaction that is always rolled back."""

    loop: asyncio.AbstractEventLoop
    engine: AsyncEngine
    connection: AsyncConnection

    @classmethod
    def open(cls, dsn: str) -> "PostgresPeople":
        loop = asyncio.new_event_loop()
        engine = create_async_engine(dsn, poolclass=NullPool)

        async def start() -> AsyncConnection:
            connection = await engine.connect()
            for statement in filter(str.strip, _TABLES.split(";")):
                await connection.execute(text(statement))
            await connection.commit()
            return connection

        return cls(loop, engine, loop.run_until_complete(start()))

    def close(self) -> None:
        self.loop.run_until_complete(self.connection.close())
        self.loop.run_until_complete(self.engine.dispose())
        self.loop.close()

    def ask(self, people: Sequence[Person], rules: Sequence[Compiled]) -> list[list[bool]]:
        """Return per rule, in order, whether it holds for each person; their ids count from 0."""
        return self.loop.run_until_complete(self._ask(people, rules))

    async def _ask(self, people: Sequence[Person], rules: Sequence[Compiled]) -> list[list[bool]]:
        profiles = [
            {
                "i": i,
                "t": dumps(p.traits),
                "c": dumps(p.computed),
                "a": dumps(p.account),
                "s": sorted(p.segments),
                "g": p.stage,
                "n": dumps(p.consents),
            }
            for i, p in enumerate(people)
        ]
        states = [
            _state_row(i, leaf_id, state)
            for i, p in enumerate(people)
            for leaf_id, state in p.leaf_states.items()
        ]
        held = [
            {"i": i, "k": key, "ms": since}
            for i, p in enumerate(people)
            for key, since in p.since.items()
        ]
        params: dict[str, ParamValue] = {}
        for rule in rules:
            params |= rule.params
        columns = ", ".join(rule.sql for rule in rules)
        await self.connection.execute(
            text(
                "INSERT INTO profile VALUES (:i, CAST(:t AS jsonb), CAST(:c AS jsonb),"
                " CAST(:a AS jsonb), CAST(:s AS text[]), CAST(:g AS text), CAST(:n AS jsonb))"
            ),
            profiles,
        )
        if states:
            await self.connection.execute(
                text("INSERT INTO leaf_state VALUES (:i, :l, :t, :r, :bi, :bn)"), states
            )
        if held:
            await self.connection.execute(
                text("INSERT INTO held VALUES (:i, :k, to_timestamp(:ms / 1000.0))"), held
            )
        sql = f"SELECT {columns} FROM profile AS p ORDER BY p.profile_id"  # noqa: S608
        rows = (await self.connection.execute(text(sql), params)).all()
        await self.connection.rollback()
        return [[row[i] for row in rows] for i in range(len(rules))]


def _state_row(i: int, leaf_id: str, state: LeafState) -> dict[str, Any]:
    return {
        "i": i,
        "l": leaf_id,
        "t": state.total,
        "r": list(state.recent),
        "bi": [index for index, _ in state.buckets],
        "bn": [n for _, n in state.buckets],
    }


@dataclass
class ClickHouseEvents:
    """Events given with each query as one JSON text, in columns as the tracking table has them."""

    client: Client

    @classmethod
    def open(cls, path: str) -> "ClickHouseEvents":
        return cls(clickhouse_connect.get_client(dsn=f"chdb://{path}"))

    def matches(self, rows: Sequence[PastEvent], filters: Sequence[Compiled]) -> list[list[bool]]:
        """Return per filter, in order, whether it holds for each event."""
        named = [row._replace(event="e") for row in rows]
        found = self.ask_rows(
            [[row] for row in named],
            f"SELECT {', '.join(each.sql for each in filters)} FROM $EVENTS"  # noqa: S608
            " WHERE event = 'e' ORDER BY person",
            {name: value for each in filters for name, value in each.params.items()},
        )
        return [[bool(row[i]) for row in found] for i in range(len(filters))]

    def people_hold(
        self, people: Sequence[Sequence[PastEvent]], conditions: Sequence[PersonCondition]
    ) -> list[list[bool]]:
        """Return per condition, in order, whether it holds for each person's events."""
        found = self.ask_rows(
            people,
            f"SELECT person, {', '.join(each.having for each in conditions)} FROM $EVENTS"  # noqa: S608
            " GROUP BY person ORDER BY person",
            {name: value for each in conditions for name, value in each.params.items()},
        )
        return [[bool(row[i + 1]) for row in found] for i in range(len(conditions))]

    def ask_rows(
        self, people: Sequence[Sequence[PastEvent]], select: str, params: dict[str, ParamValue]
    ) -> list[tuple[Any, ...]]:
        """SELECT over `(person, event, properties, context, occurred_at)`; every person has a
        row, one without events through an event of no name."""
        rows = [
            [person, e.event, dumps(dict(e.properties)), dumps(dict(e.context)), e.time_ms]
            for person, events in enumerate(people)
            for e in [*events, PastEvent("", {}, {}, 0)]
        ]
        source = (
            "(SELECT JSONExtract(r, 1, 'Int64') AS person, JSONExtract(r, 2, 'String') AS event,"
            " JSONExtract(r, 3, 'String') AS properties, JSONExtract(r, 4, 'String') AS context,"
            " fromUnixTimestamp64Milli(JSONExtract(r, 5, 'Int64'), 'UTC') AS occurred_at,"
            " row FROM (SELECT arrayJoin(arrayEnumerate(rows)) AS row, rows[row] AS r"
            " FROM (SELECT JSONExtractArrayRaw({rows:String}) AS rows)))"
        )
        sql = select.replace("$EVENTS", source)
        return [
            tuple(row)
            for row in self.client.query(sql, {"rows": dumps(rows), **params}).result_rows
        ]
