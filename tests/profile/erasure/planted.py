"""Rows of a person in every table there can be, each with a marker that can be looked for."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import zstandard
from sqlalchemy import ARRAY, Boolean, DateTime, LargeBinary, Text, Uuid, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.types import TypeEngine

from services.contracts.changes import Change
from services.contracts.events import Event
from services.kit.postgres import create_sessionmaker, workspace_tx
from services.profile.consents.tables import ConsentRow
from services.profile.erasure.personal import PERSONAL, Held, Person
from services.profile.feed import store as feed
from services.profile.recounts.tables import RecountRow
from services.profile.stream import store as stream
from services.profile.tables import Table
from tests.support.postgres import Database

_WORDS = {"purpose", "state", "source", "key", "reason"}
"""Columns of words that are the workspace's, not the person's: some are kept."""
_AT = datetime(2026, 3, 1, tzinfo=UTC)


async def plant(
    database: Database, workspace_id: UUID, person: Person, event: Event
) -> dict[str, str]:
    """A row in every table of ``PERSONAL``, an entry in the feed and a refused event; the marker
    that stands in each, by table."""
    engine = create_async_engine(database.app_dsn)
    markers = {}
    async with workspace_tx(create_sessionmaker(engine), workspace_id) as session:
        for held in PERSONAL:
            values, markers[held.table] = _values(held, workspace_id, person, uuid4())
            await session.execute(insert(held.row).values(values))
        # Of ids, words and times: they have no room for a marker.
        for row in (ConsentRow, RecountRow):
            del markers[row.__tablename__]
        markers["feed"] = await _plant_in_feed(session, workspace_id, person)
        markers["quarantine"] = event.event
        await stream.quarantine(session, workspace_id, [(1 << 40, event)], "test")
    await engine.dispose()
    return markers


def _values(
    held: Held, workspace_id: UUID, person: Person, marker: UUID
) -> tuple[dict[str, Any], str]:
    """A row that is found by the first of its columns of ids, and the marker as it stands in it."""
    columns = held.row.__table__.columns
    values = {c.name: "said" if c.name in _WORDS else _value(c.type, marker) for c in columns}
    values["workspace_id"] = workspace_id
    # What is about a merge is about the one that is planted.
    for key in [*(column.key for column in held.ids[:1]), *{"merge_id"} & set(columns.keys())]:
        values[key] = person.profile_ids[-1]
    room = any(isinstance(c.type, Text | JSONB) and c.name not in _WORDS for c in columns)
    return values, f"marker-{marker}" if room else str(marker)


def _value(kind: TypeEngine[Any], marker: UUID) -> Any:
    """Of a column of this type: the marker where there is room for it."""
    made = {
        Uuid: marker,
        JSONB: {"planted": f"marker-{marker}"},
        Text: f"marker-{marker}",
        DateTime: _AT,
        ARRAY: [],
        LargeBinary: b"",
        Boolean: False,
    }
    return next((value for each, value in made.items() if isinstance(kind, each)), 0)


async def _plant_in_feed(session: AsyncSession, workspace_id: UUID, person: Person) -> str:
    marker = f"marker-{uuid4().hex}"
    mine = Change("profile.updated", str(person.profile_ids[-1]), 1, {"traits": {"x": marker}})
    other = Change("profile.updated", str(uuid4()), 1, {"traits": {"x": "other"}})
    await feed.append(session, workspace_id, [other, mine, other])
    return marker


async def everything(database: Database) -> str:
    """Every row of every table as text, packed ones unpacked."""
    engine = create_async_engine(database.owner_dsn)
    found = []
    async with engine.connect() as connection:
        for name, table in Table.metadata.tables.items():
            rows = await connection.execute(text(f'SELECT t::text FROM "{name}" t'))  # noqa: S608
            found += [row[0] for row in rows]
            for column in table.columns:
                if isinstance(column.type, LargeBinary):
                    packed = await connection.execute(
                        text(f'SELECT "{column.name}" FROM "{name}"')  # noqa: S608
                    )
                    found += [_plain(row[0]) for row in packed if row[0] is not None]
    await engine.dispose()
    return "\n".join(found)


def _plain(data: bytes) -> str:
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        data = zstandard.decompress(data, max_output_size=1 << 24)
    return data.decode("utf-8", "replace")
