"""The permanent entry ledger: its unique key, not a look before the leap, decides who may enter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine.participants import Participant
from services.orchestrator.journeys.entries import EntryCap
from services.orchestrator.times import from_ms

LedgerKey = tuple[UUID, UUID, str]
"""Journey, profile, ledger key."""


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

    @property
    def key(self) -> LedgerKey:
        return self.journey_id, self.profile_id, self.ledger_key


async def admissible(
    session: AsyncSession, workspace_id: UUID, candidates: Sequence[Admitted]
) -> list[Admitted]:
    """Those whom the ledger would let in as it stands, in the order given."""
    rows = await session.execute(
        text(
            """
            SELECT e.journey_id, e.profile_id, e.ledger_key, e.active, e.exited_at
            FROM entry e JOIN unnest(CAST(:journeys AS uuid[]), CAST(:profiles AS uuid[]),
                CAST(:keys AS text[])) AS u (journey_id, profile_id, ledger_key)
            USING (journey_id, profile_id, ledger_key) WHERE e.workspace_id = :ws
            """
        ),
        {
            "ws": workspace_id,
            "journeys": [c.journey_id for c in candidates],
            "profiles": [c.profile_id for c in candidates],
            "keys": [c.ledger_key for c in candidates],
        },
    )
    known = {(r.journey_id, r.profile_id, r.ledger_key): r for r in rows}

    def free(candidate: Admitted) -> bool:
        row = known.get(candidate.key)
        if row is None:
            return True
        rested = from_ms(candidate.at - 1000 * candidate.cooldown_seconds)
        return candidate.again and not row.active and bool(row.exited_at <= rested)

    return [each for each in candidates if free(each)]


async def room(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, cap: EntryCap, now: int
) -> int:
    """How many more may enter now. Its row stays locked until the transaction ends."""
    entered = await session.scalar(
        text(
            """
            INSERT INTO entry_count AS c (workspace_id, journey_id, since, people)
            VALUES (:ws, :journey, :since, 0)
            ON CONFLICT (workspace_id, journey_id, since) DO UPDATE SET people = c.people
            RETURNING people
            """
        ),
        {"ws": workspace_id, "journey": journey_id, "since": _since(cap, now)},
    )
    assert entered is not None
    return max(0, cap.people - int(entered))


async def count(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    cap: EntryCap,
    now: int,
    people: int,
) -> None:
    """Count these as entered."""
    await session.execute(
        text(
            "UPDATE entry_count SET people = people + :people "
            "WHERE workspace_id = :ws AND journey_id = :journey AND since = :since"
        ),
        {
            "ws": workspace_id,
            "journey": journey_id,
            "since": _since(cap, now),
            "people": people,
        },
    )


def _since(cap: EntryCap, now: int) -> datetime:
    at = from_ms(now)
    if cap.per == "ever":
        return from_ms(0)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if cap.per == "day" else day.replace(hour=at.hour)


async def admit(
    session: AsyncSession, workspace_id: UUID, candidates: Sequence[Admitted]
) -> dict[LedgerKey, int]:
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


async def close(session: AsyncSession, workspace_id: UUID, exited: Sequence[Participant]) -> None:
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
