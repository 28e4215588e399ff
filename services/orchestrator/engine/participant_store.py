"""SQL of participants: blocks in, blocks out. Every statement takes a whole block as arrays."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine import entry_store
from services.orchestrator.engine.participants import Participant, awaits
from services.orchestrator.journeys.compiled import Compiled
from services.orchestrator.journeys.position import Position
from services.orchestrator.times import from_ms, to_ms

_COLUMNS = """id, journey_id, version_id, profile_id, instance_key, ledger_key, rotation, state,
    node, visit, arrived_at, due_at, best, entered_at, CAST(trigger AS text) AS trigger,
    exit_reason, fence, CAST(context AS text) AS context"""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _object(text: str) -> dict[str, Any]:
    # The driver's own decoding took as long as everything else about a participant.
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


def _participant(row: Any) -> Participant:
    return Participant(
        id=row.id,
        journey_id=row.journey_id,
        version_id=row.version_id,
        profile_id=row.profile_id,
        instance_key=row.instance_key,
        ledger_key=row.ledger_key,
        rotation=row.rotation,
        position=Position(
            row.state, row.node, row.visit, to_ms(row.arrived_at), to_ms(row.due_at), row.best
        ),
        entered_at=to_ms(row.entered_at),
        trigger=_object(row.trigger),
        exit_reason=row.exit_reason,
        fence=row.fence,
        context=_object(row.context),
    )


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    participants: Sequence[Participant],
    compiled: Mapping[UUID, Compiled],
    now: int,
) -> None:
    """New participants, where their first step took them."""
    if not participants:
        return
    values = [
        {
            "id": p.id,
            "workspace_id": workspace_id,
            "journey_id": p.journey_id,
            "profile_id": p.profile_id,
            "instance_key": p.instance_key,
            "ledger_key": p.ledger_key,
            "rotation": p.rotation,
            "trigger": _json(p.trigger),
            "entered_at": from_ms(p.entered_at),
            **_placed(p, compiled, now),
        }
        for p in participants
    ]
    columns = {name: [value[name] for value in values] for name in values[0]}
    casts = ", ".join(f"CAST(:{name} AS {_TYPES[name]}[])" for name in columns)
    names = ", ".join(columns)
    statement = (
        f"INSERT INTO participant ({names}, fence) "  # noqa: S608 - names from this file
        f"SELECT *, 0 FROM unnest({casts})"
    )
    await session.execute(text(statement), columns)


_TYPES = {
    "id": "uuid",
    "workspace_id": "uuid",
    "journey_id": "uuid",
    "version_id": "uuid",
    "profile_id": "uuid",
    "instance_key": "text",
    "ledger_key": "text",
    "rotation": "int",
    "trigger": "jsonb",
    "entered_at": "timestamptz",
    "state": "text",
    "node": "text",
    "visit": "int",
    "arrived_at": "timestamptz",
    "due_at": "timestamptz",
    "awaits": "boolean",
    "best": "int",
    "run_at": "timestamptz",
    "exited_at": "timestamptz",
    "exit_reason": "text",
    "context": "jsonb",
}


def _placed(
    participant: Participant, compiled: Mapping[UUID, Compiled], now: int
) -> dict[str, Any]:
    """The columns that a step changes."""
    at = participant.position
    exited = at.state == "exited"
    # A due participant runs at once; its due_at is logical time and may lie in the past.
    run_at: datetime | None = from_ms(now if at.state == "due" else at.due_at)
    return {
        "version_id": participant.version_id,
        "state": at.state,
        "node": at.node,
        "visit": at.visit,
        "arrived_at": from_ms(at.arrived_at),
        "due_at": from_ms(at.due_at),
        "awaits": awaits(compiled[participant.version_id], at),
        "best": at.best,
        "run_at": None if exited else run_at,
        "exited_at": from_ms(at.due_at) if exited else None,
        "exit_reason": participant.exit_reason,
        "context": _json(participant.context),
    }


async def update(
    session: AsyncSession,
    workspace_id: UUID,
    participants: Sequence[Participant],
    compiled: Mapping[UUID, Compiled],
    now: int,
) -> None:
    """Write where steps took participants whose rows this transaction holds locked.

    The fence moves on, so whoever holds an older lease of one of them loses it. The entries of
    those who left become inactive.
    """
    if not participants:
        return
    placed = [_placed(p, compiled, now) for p in participants]
    columns: dict[str, list[Any]] = {"id": [p.id for p in participants]}
    columns |= {name: [values[name] for values in placed] for name in placed[0]}
    casts = ", ".join(f"CAST(:{name} AS {_TYPES[name]}[])" for name in columns)
    names = ", ".join(columns)
    sets = ", ".join(f"{name} = u.{name}" for name in columns if name != "id")
    statement = (
        f"UPDATE participant p SET {sets}, fence = p.fence + 1 "  # noqa: S608 - as above
        f"FROM unnest({casts}) AS u ({names}) WHERE p.id = u.id AND p.workspace_id = :ws"
    )
    await session.execute(text(statement), {**columns, "ws": workspace_id})
    await entry_store.close(
        session, workspace_id, [p for p in participants if p.position.state == "exited"]
    )


async def lock_due(
    session: AsyncSession, workspace_id: UUID, *, now: int, known_until: int, limit: int
) -> list[Participant]:
    """Lock the participants due first; other executors pass them by. Journeys paused on hold rest;
    waits whose end is later than what is known of the feed are left alone."""
    statement = text(
        f"""
        SELECT {_COLUMNS} FROM participant p
        WHERE p.workspace_id = :ws AND p.run_at <= :now
            AND (NOT p.awaits OR p.due_at <= :known_until)
            AND NOT EXISTS (SELECT FROM journey j
                WHERE j.id = p.journey_id
                    AND (j.state = 'paused' AND NOT j.discarding OR j.releasing))
        ORDER BY p.run_at LIMIT :limit FOR UPDATE OF p SKIP LOCKED
        """  # noqa: S608 - a constant of this file
    )
    rows = await session.execute(
        statement,
        {
            "ws": workspace_id,
            "now": from_ms(now),
            "known_until": from_ms(known_until),
            "limit": limit,
        },
    )
    return [_participant(row) for row in rows]


async def lease(
    session: AsyncSession, workspace_id: UUID, locked: Sequence[Participant], until: int
) -> None:
    """Keep these locked participants to us beyond the transaction, up to ``until`` (ms)."""
    if not locked:
        return
    await session.execute(
        text(
            "UPDATE participant SET fence = fence + 1, run_at = :until "
            "WHERE workspace_id = :ws AND id = ANY(CAST(:ids AS uuid[]))"
        ),
        {"ws": workspace_id, "ids": [p.id for p in locked], "until": from_ms(until)},
    )
    for each in locked:
        each.fence += 1


async def lock_claimed(
    session: AsyncSession, workspace_id: UUID, claimed: Sequence[Participant]
) -> set[UUID]:
    """Lock the rows; the ids of those whose lease still holds."""
    rows = await session.execute(
        text(
            "SELECT id, fence FROM participant WHERE workspace_id = :ws "
            "AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE"
        ),
        {"ws": workspace_id, "ids": [p.id for p in claimed]},
    )
    fences = {row.id: row.fence for row in rows}
    return {p.id for p in claimed if fences.get(p.id) == p.fence}


async def give_back(
    session: AsyncSession, workspace_id: UUID, claimed: Sequence[Participant], again: int
) -> None:
    """End these leases, where they still hold, without a step; due again at ``again`` (ms)."""
    await session.execute(
        text(
            "UPDATE participant p SET run_at = :again "
            "FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS u (id, fence) "
            "WHERE p.workspace_id = :ws AND p.id = u.id AND p.fence = u.fence"
        ),
        {
            "ws": workspace_id,
            "ids": [p.id for p in claimed],
            "fences": [p.fence for p in claimed],
            "again": from_ms(again),
        },
    )


async def lock_live(
    session: AsyncSession, workspace_id: UUID, profile_ids: Iterable[UUID]
) -> list[Participant]:
    """The live participants of these people, locked."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM participant WHERE workspace_id = :ws "  # noqa: S608
            "AND profile_id = ANY(CAST(:ids AS uuid[])) AND run_at IS NOT NULL "
            "ORDER BY id FOR UPDATE"
        ),
        {"ws": workspace_id, "ids": list(profile_ids)},
    )
    return [_participant(row) for row in rows]


async def left_since(
    session: AsyncSession, workspace_id: UUID, profile_ids: Iterable[UUID], since: int
) -> list[Participant]:
    """Participants of these people who left at or after ``since`` (ms)."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM participant WHERE workspace_id = :ws "  # noqa: S608
            "AND profile_id = ANY(CAST(:ids AS uuid[])) AND run_at IS NULL AND exited_at >= :since"
        ),
        {"ws": workspace_id, "ids": list(profile_ids), "since": from_ms(since)},
    )
    return [_participant(row) for row in rows]


async def lock(session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID]) -> list[Participant]:
    """These participants, those who left too, locked."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM participant WHERE workspace_id = :ws "  # noqa: S608
            "AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE"
        ),
        {"ws": workspace_id, "ids": list(ids)},
    )
    return [_participant(row) for row in rows]


async def existing(session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID]) -> set[UUID]:
    """Those of these ids that participants have."""
    rows = await session.scalars(
        text(
            "SELECT id FROM participant WHERE workspace_id = :ws AND id = ANY(CAST(:ids AS uuid[]))"
        ),
        {"ws": workspace_id, "ids": list(ids)},
    )
    return set(rows)


async def next_run_at(session: AsyncSession, workspace_id: UUID) -> int | None:
    """When the first participant is due, ms."""
    at = await session.scalar(
        text("SELECT min(run_at) FROM participant WHERE workspace_id = :ws AND run_at IS NOT NULL"),
        {"ws": workspace_id},
    )
    return None if at is None else to_ms(at)
