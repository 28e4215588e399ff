"""SQL of the engine: blocks in, blocks out. Every statement takes a whole block as arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.events import Outcome
from services.kit.feeds import pack
from services.orchestrator.engine.participants import Participant, awaited_event
from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.step import Position
from services.orchestrator.times import from_ms, to_ms

OUTBOX_BLOCK = 5_000

_COLUMNS = """id, journey_id, version_id, profile_id, instance_key, ledger_key, rotation, state,
    node, visit, arrived_at, due_at, entered_at, trigger, exit_reason, fence"""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A candidate for entry; the ledger decides."""

    journey_id: UUID
    profile_id: UUID
    ledger_key: str
    at: int
    again: bool
    """Whether coming back after leaving is allowed."""
    cooldown_seconds: int


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _participant(row: Any) -> Participant:
    return Participant(
        id=row.id,
        journey_id=row.journey_id,
        version_id=row.version_id,
        profile_id=row.profile_id,
        instance_key=row.instance_key,
        ledger_key=row.ledger_key,
        rotation=row.rotation,
        position=Position(row.state, row.node, row.visit, to_ms(row.arrived_at), to_ms(row.due_at)),
        entered_at=to_ms(row.entered_at),
        trigger=row.trigger,
        exit_reason=row.exit_reason,
        fence=row.fence,
    )


async def position(session: AsyncSession, workspace_id: UUID) -> int:
    """The last offset of profile's feed that was applied."""
    found = await session.scalar(
        text("SELECT position FROM feed_position WHERE workspace_id = :ws"), {"ws": workspace_id}
    )
    return int(found or 0)


async def move_position(session: AsyncSession, workspace_id: UUID, before: int, to: int) -> bool:
    """False when another process has moved it: then nothing of this block may be kept."""
    statement = text(
        "INSERT INTO feed_position (workspace_id, position) VALUES (:ws, :to) "
        "ON CONFLICT (workspace_id) DO UPDATE SET position = :to "
        "WHERE feed_position.position = :before RETURNING position"
    )
    moved = await session.execute(statement, {"ws": workspace_id, "before": before, "to": to})
    return moved.first() is not None


async def admit(
    session: AsyncSession, workspace_id: UUID, candidates: Sequence[Admitted]
) -> dict[tuple[UUID, UUID, str], int]:
    """Write entries into the ledger; (journey, profile, key) → rotation of those it lets in.

    `candidates` holds each key once. The unique key decides, so no race lets anybody in twice.
    """
    if not candidates:
        return {}
    statement = text(
        """
        INSERT INTO entry AS e (workspace_id, journey_id, profile_id, ledger_key, rotation, active)
        SELECT :ws, c.journey_id, c.profile_id, c.ledger_key, 1, true
        FROM unnest(CAST(:journeys AS uuid[]), CAST(:profiles AS uuid[]), CAST(:keys AS text[]))
            AS c (journey_id, profile_id, ledger_key)
        ON CONFLICT (workspace_id, journey_id, profile_id, ledger_key) DO UPDATE
        SET rotation = e.rotation + 1, active = true
        WHERE NOT e.active AND EXISTS (
            SELECT FROM unnest(
                CAST(:again_journeys AS uuid[]), CAST(:again_profiles AS uuid[]),
                CAST(:again_keys AS text[]), CAST(:again_from AS timestamptz[])
            ) AS a (journey_id, profile_id, ledger_key, not_after)
            WHERE (a.journey_id, a.profile_id, a.ledger_key)
                = (e.journey_id, e.profile_id, e.ledger_key) AND e.exited_at <= a.not_after)
        RETURNING e.journey_id, e.profile_id, e.ledger_key, e.rotation
        """
    )
    again = [c for c in candidates if c.again]
    rows = await session.execute(
        statement,
        {
            "ws": workspace_id,
            "journeys": [c.journey_id for c in candidates],
            "profiles": [c.profile_id for c in candidates],
            "keys": [c.ledger_key for c in candidates],
            "again_journeys": [c.journey_id for c in again],
            "again_profiles": [c.profile_id for c in again],
            "again_keys": [c.ledger_key for c in again],
            "again_from": [from_ms(c.at - 1000 * c.cooldown_seconds) for c in again],
        },
    )
    return {(r.journey_id, r.profile_id, r.ledger_key): r.rotation for r in rows}


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
            "version_id": p.version_id,
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
    "wait_event": "text",
    "run_at": "timestamptz",
    "exited_at": "timestamptz",
    "exit_reason": "text",
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
        "state": at.state,
        "node": at.node,
        "visit": at.visit,
        "arrived_at": from_ms(at.arrived_at),
        "due_at": from_ms(at.due_at),
        "wait_event": awaited_event(compiled[participant.version_id], at),
        "run_at": None if exited else run_at,
        "exited_at": from_ms(at.due_at) if exited else None,
        "exit_reason": participant.exit_reason,
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
    await close_entries(
        session, workspace_id, [p for p in participants if p.position.state == "exited"]
    )


async def close_entries(
    session: AsyncSession, workspace_id: UUID, exited: Sequence[Participant]
) -> None:
    if not exited:
        return
    statement = text(
        """
        UPDATE entry e SET active = false, exited_at = u.exited_at
        FROM unnest(CAST(:journeys AS uuid[]), CAST(:profiles AS uuid[]), CAST(:keys AS text[]),
            CAST(:times AS timestamptz[])) AS u (journey_id, profile_id, ledger_key, exited_at)
        WHERE e.workspace_id = :ws AND e.journey_id = u.journey_id
            AND e.profile_id = u.profile_id AND e.ledger_key = u.ledger_key
        """
    )
    await session.execute(
        statement,
        {
            "ws": workspace_id,
            "journeys": [p.journey_id for p in exited],
            "profiles": [p.profile_id for p in exited],
            "keys": [p.ledger_key for p in exited],
            "times": [from_ms(p.position.due_at) for p in exited],
        },
    )


async def claim(
    session: AsyncSession,
    workspace_id: UUID,
    *,
    now: int,
    known_until: int,
    lease_ms: int,
    limit: int,
) -> list[Participant]:
    """Lease the participants due first. Paused journeys rest; waits whose end is later than what
    is known of the feed are left alone."""
    statement = text(
        f"""
        WITH due AS (
            SELECT p.id FROM participant p
            WHERE p.workspace_id = :ws AND p.run_at <= :now
                AND (p.wait_event IS NULL OR p.state = 'due' OR p.due_at <= :known_until)
                AND NOT EXISTS (SELECT FROM journey j
                    WHERE j.id = p.journey_id AND j.state = 'paused')
            ORDER BY p.run_at LIMIT :limit FOR UPDATE OF p SKIP LOCKED)
        UPDATE participant SET fence = fence + 1, run_at = :lease
        WHERE id IN (SELECT id FROM due)
        RETURNING {_COLUMNS}
        """  # noqa: S608 - a constant of this file
    )
    rows = await session.execute(
        statement,
        {
            "ws": workspace_id,
            "now": from_ms(now),
            "known_until": from_ms(known_until),
            "lease": from_ms(now + lease_ms),
            "limit": limit,
        },
    )
    return [_participant(row) for row in rows]


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


async def next_run_at(session: AsyncSession, workspace_id: UUID) -> int | None:
    """When the first participant is due, ms."""
    at = await session.scalar(
        text("SELECT min(run_at) FROM participant WHERE workspace_id = :ws AND run_at IS NOT NULL"),
        {"ws": workspace_id},
    )
    return None if at is None else to_ms(at)


async def keep_missed(
    session: AsyncSession, workspace_id: UUID, missed: Sequence[tuple[UUID, Happening]]
) -> None:
    """Keep awaited events for participants that are still on their way to the wait."""
    if not missed:
        return
    await session.execute(
        text(
            """
            INSERT INTO missed_event
                (workspace_id, participant_id, message_id, event, occurred_at, properties, context)
            SELECT :ws, * FROM unnest(CAST(:participants AS uuid[]), CAST(:message_ids AS text[]),
                CAST(:events AS text[]), CAST(:times AS timestamptz[]),
                CAST(:properties AS jsonb[]), CAST(:contexts AS jsonb[]))
            ON CONFLICT DO NOTHING
            """
        ),
        {
            "ws": workspace_id,
            "participants": [participant for participant, _ in missed],
            "message_ids": [event.message_id for _, event in missed],
            "events": [event.event for _, event in missed],
            "times": [from_ms(event.at) for _, event in missed],
            "properties": [_json(event.properties) for _, event in missed],
            "contexts": [_json(event.context) for _, event in missed],
        },
    )


async def missed(
    session: AsyncSession, workspace_id: UUID, participants: Sequence[Participant]
) -> dict[UUID, list[Happening]]:
    """What was kept, by participant, oldest first."""
    rows = await session.execute(
        text(
            "SELECT participant_id, message_id, event, occurred_at, properties, context "
            "FROM missed_event WHERE workspace_id = :ws "
            "AND participant_id = ANY(CAST(:ids AS uuid[])) ORDER BY occurred_at, message_id"
        ),
        {"ws": workspace_id, "ids": [p.id for p in participants]},
    )
    profiles = {p.id: p.profile_id for p in participants}
    found: dict[UUID, list[Happening]] = {}
    for row in rows:
        found.setdefault(row.participant_id, []).append(
            Happening(
                profiles[row.participant_id],
                row.event,
                row.message_id,
                to_ms(row.occurred_at),
                row.properties,
                row.context,
            )
        )
    return found


async def drop_missed(
    session: AsyncSession,
    workspace_id: UUID,
    participants: Sequence[Participant],
    consumed: Sequence[tuple[UUID, str]],
) -> None:
    """Forget events that passed a wait or are from before where their participants now are, and
    all of those who left."""
    await session.execute(
        text(
            """
            DELETE FROM missed_event m
            USING unnest(CAST(:ids AS uuid[]), CAST(:times AS timestamptz[])) AS u (id, arrived_at)
            WHERE m.workspace_id = :ws AND m.participant_id = u.id
                AND (u.arrived_at IS NULL OR m.occurred_at < u.arrived_at
                    OR (m.participant_id, m.message_id) IN (SELECT * FROM unnest(
                        CAST(:consumed_ids AS uuid[]), CAST(:consumed_messages AS text[]))))
            """
        ),
        {
            "ws": workspace_id,
            "ids": [p.id for p in participants],
            "times": [
                None if p.position.state == "exited" else from_ms(p.position.arrived_at)
                for p in participants
            ],
            "consumed_ids": [participant for participant, _ in consumed],
            "consumed_messages": [message_id for _, message_id in consumed],
        },
    )


async def count_flows(
    session: AsyncSession, workspace_id: UUID, flows: Mapping[tuple[UUID, str, str, str], int]
) -> None:
    if not flows:
        return
    # In one order everywhere: two blocks that count the same edges must not deadlock.
    keys = sorted(flows)
    await session.execute(
        text(
            """
            INSERT INTO flow AS f (workspace_id, version_id, source, outcome, target, count)
            SELECT :ws, * FROM unnest(CAST(:versions AS uuid[]), CAST(:sources AS text[]),
                CAST(:outcomes AS text[]), CAST(:targets AS text[]), CAST(:counts AS bigint[]))
            ON CONFLICT (workspace_id, version_id, source, outcome, target)
            DO UPDATE SET count = f.count + excluded.count
            """
        ),
        {
            "ws": workspace_id,
            "versions": [key[0] for key in keys],
            "sources": [key[1] for key in keys],
            "outcomes": [key[2] for key in keys],
            "targets": [key[3] for key in keys],
            "counts": [flows[key] for key in keys],
        },
    )


async def queue_outcomes(
    session: AsyncSession, workspace_id: UUID, outcomes: Sequence[Outcome]
) -> None:
    """Put outcomes into the outbox, in blocks."""
    for start in range(0, len(outcomes), OUTBOX_BLOCK):
        block = outcomes[start : start + OUTBOX_BLOCK]
        await session.execute(
            text("INSERT INTO outbox (workspace_id, count, data) VALUES (:ws, :count, :data)"),
            {"ws": workspace_id, "count": len(block), "data": pack(block)},
        )


async def first_outcomes(session: AsyncSession, workspace_id: UUID) -> tuple[int, bytes] | None:
    """(row id, packed block) of the oldest block that was not told yet."""
    rows = await session.execute(
        text("SELECT id, data FROM outbox WHERE workspace_id = :ws ORDER BY id LIMIT 1"),
        {"ws": workspace_id},
    )
    row = rows.first()
    return None if row is None else (row.id, row.data)


async def outcomes_told(session: AsyncSession, workspace_id: UUID, row_id: int) -> None:
    result = await session.execute(
        text("DELETE FROM outbox WHERE workspace_id = :ws AND id = :id"),
        {"ws": workspace_id, "id": row_id},
    )
    assert isinstance(result, CursorResult)


async def workspaces(session: AsyncSession) -> list[UUID]:
    """All workspaces background work walks."""
    return list(await session.scalars(text("SELECT workspace_id FROM workspace ORDER BY 1")))


async def register_workspaces(session: AsyncSession, workspace_ids: Sequence[UUID]) -> None:
    await session.execute(
        text(
            "INSERT INTO workspace (workspace_id) SELECT * FROM unnest(CAST(:ids AS uuid[])) "
            "ON CONFLICT DO NOTHING"
        ),
        {"ids": list(workspace_ids)},
    )
