"""SQL of claims as policies read and change them: what waits, its rivals, holds and skips."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.delivery.registry import IDEMPOTENT, MEDIA
from services.orchestrator.messages.store import told
from services.orchestrator.policies.judge import Rival, Waiting
from services.orchestrator.policies.store import counted_in
from services.orchestrator.times import from_ms, to_ms

Opening = tuple[UUID, int]
"""Channel, and when quiet hours end, ms."""


async def waiting(session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID]) -> list[Waiting]:
    """Those that policies are about, the first to go first."""
    rows = await session.execute(
        text(
            "SELECT id, journey_id, profile_id, channel_id, channel_type, contact, zone, tags, "
            "priority, created_at, reserved FROM message WHERE workspace_id = :ws "
            "AND id = ANY(CAST(:ids AS uuid[])) AND state IN ('queued', 'held', 'claimed') "
            "AND purpose = 'marketing' AND channel_type <> 'webhook' AND replay_id IS NULL "
            "ORDER BY priority DESC, created_at, id"
        ),
        {"ws": workspace_id, "ids": list(ids)},
    )
    return [
        Waiting(
            id=row.id,
            journey_id=row.journey_id,
            profile_id=row.profile_id,
            channel_id=row.channel_id,
            medium=MEDIA.get(row.channel_type, row.channel_type),
            contact=row.contact,
            zone=row.zone,
            tags=frozenset(row.tags),
            priority=row.priority,
            created_at=to_ms(row.created_at),
            reserved=counted_in(row.reserved),
            keyed=row.channel_type in IDEMPOTENT,
        )
        for row in rows
    ]


async def rivals_of(
    session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID], window: int, now: int
) -> dict[UUID, list[Rival]]:
    """Other journeys' messages to the same people that are due within the window, or went out in
    it."""
    rows = await session.execute(
        text(
            """
            SELECT m.id AS asking, r.id, r.journey_id, r.priority, r.created_at
            FROM message m
            JOIN message r ON r.workspace_id = m.workspace_id AND r.profile_id = m.profile_id
                AND r.journey_id <> m.journey_id AND r.purpose = 'marketing'
                AND r.channel_type <> 'webhook' AND r.replay_id IS NULL
                AND (r.state IN ('queued', 'claimed', 'handed_over')
                    OR (r.state = 'held' AND r.run_at <= :until)
                    OR (r.state IN ('accepted', 'unknown') AND r.updated_at > :since))
            WHERE m.workspace_id = :ws AND m.id = ANY(CAST(:ids AS uuid[]))
            """
        ),
        {
            "ws": workspace_id,
            "ids": list(ids),
            "since": from_ms(now - window),
            "until": from_ms(now + window),
        },
    )
    found: dict[UUID, list[Rival]] = {}
    for row in rows:
        rival = Rival(row.journey_id, row.priority, to_ms(row.created_at), row.id)
        found.setdefault(row.asking, []).append(rival)
    return found


async def worth_of(session: AsyncSession, journey_ids: Collection[UUID]) -> dict[UUID, float]:
    """What a person who entered was worth so far, by journey."""
    rows = await session.execute(
        text(
            """
            SELECT v.journey_id, (SELECT coalesce(sum(c.value), 0) FROM conversion c
                    WHERE c.journey_id = v.journey_id) / sum(f.count) AS worth
            FROM journey_version v
            JOIN flow f ON f.version_id = v.id AND f.source = '@entry' AND f.target <> '@refused'
            WHERE v.journey_id = ANY(CAST(:ids AS uuid[])) GROUP BY v.journey_id
            """
        ),
        {"ids": list(journey_ids)},
    )
    return {row.journey_id: float(row.worth) for row in rows}


async def keys_of(session: AsyncSession, journey_ids: Collection[UUID]) -> dict[UUID, str]:
    """What people call these journeys."""
    rows = await session.execute(
        text("SELECT id, key FROM journey WHERE id = ANY(CAST(:ids AS uuid[]))"),
        {"ids": list(journey_ids)},
    )
    return {row.id: row.key for row in rows}


async def queue_up(
    session: AsyncSession, workspace_id: UUID, sizes: Mapping[Opening, int], now: int
) -> dict[Opening, int]:
    """How many of each opening came before these, who are counted from now on."""
    if not sizes:
        return {}
    await session.execute(
        text("DELETE FROM quiet_queue WHERE workspace_id = :ws AND opens_at < :now"),
        {"ws": workspace_id, "now": from_ms(now)},
    )
    # In one order everywhere: senders must not deadlock.
    openings = sorted(sizes)
    rows = await session.execute(
        text(
            "INSERT INTO quiet_queue AS q (workspace_id, channel_id, opens_at, taken) "
            "SELECT :ws, * FROM unnest(CAST(:channels AS uuid[]), CAST(:times AS timestamptz[]), "
            "CAST(:sizes AS int[])) ON CONFLICT (workspace_id, channel_id, opens_at) "
            "DO UPDATE SET taken = q.taken + excluded.taken RETURNING channel_id, opens_at, taken"
        ),
        {
            "ws": workspace_id,
            "channels": [channel_id for channel_id, _ in openings],
            "times": [from_ms(opens_at) for _, opens_at in openings],
            "sizes": [sizes[opening] for opening in openings],
        },
    )
    taken = {(row.channel_id, to_ms(row.opens_at)): row.taken for row in rows}
    return {opening: taken[opening] - size for opening, size in sizes.items()}


async def hold(
    session: AsyncSession, workspace_id: UUID, held: Mapping[UUID, tuple[str, int]], now: int
) -> None:
    if held:
        await session.execute(
            text(
                "UPDATE message m SET state = 'held', reason = u.reason, run_at = u.until, "
                "reserved = CASE WHEN channel_type = ANY(:keyed) THEN reserved ELSE '{}' END, "
                "fence = m.fence + 1, updated_at = :now FROM unnest(CAST(:ids AS uuid[]), "
                "CAST(:reasons AS text[]), CAST(:times AS timestamptz[])) AS u (id, reason, until) "
                "WHERE m.workspace_id = :ws AND m.id = u.id"
            ),
            {
                "ws": workspace_id,
                "ids": list(held),
                "reasons": [reason for reason, _ in held.values()],
                "times": [from_ms(until) for _, until in held.values()],
                "keyed": list(IDEMPOTENT),
                "now": from_ms(now),
            },
        )


async def skip(
    session: AsyncSession, workspace_id: UUID, skipped: Mapping[UUID, str], now: int
) -> list[Row[Any]]:
    if not skipped:
        return []
    rows = await session.execute(
        text(
            f"""
            UPDATE message m SET state = 'skipped', reason = u.reason, run_at = NULL,
                fence = m.fence + 1, updated_at = :now
            FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[])) AS u (id, reason)
            WHERE m.workspace_id = :ws AND m.id = u.id
            RETURNING {told("m")}
            """  # noqa: S608 - names of another file
        ),
        {
            "ws": workspace_id,
            "ids": list(skipped),
            "reasons": list(skipped.values()),
            "now": from_ms(now),
        },
    )
    return list(rows.all())
