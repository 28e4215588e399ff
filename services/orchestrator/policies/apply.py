"""Policies where the sender claims: arbiter, quiet hours, caps, in this order and one transaction.

What the gate bars or what is too old is skipped before. Caps come last, so that only what goes out
now is counted; what waited is judged anew when its time comes (semantics QH-4).
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.delivery.registry import MEDIA
from services.orchestrator.messages.store import told
from services.orchestrator.policies import judge, store
from services.orchestrator.policies.judge import Rival, Waiting
from services.orchestrator.policies.model import LONGEST_SECONDS, PoliciesDocument
from services.orchestrator.times import from_ms, to_ms


async def hold_back(
    session: AsyncSession,
    workspace_id: UUID,
    ids: Sequence[UUID],
    document: PoliciesDocument,
    now: int,
) -> list[Row[Any]]:
    """Of these locked messages, hold or skip what policies say, and count the rest; the skipped."""
    if not document.caps and document.quiet_hours is None and document.arbiter is None:
        return []
    waiting = await _waiting(session, workspace_id, ids)
    held: dict[UUID, tuple[str, int]] = {}
    skipped: dict[UUID, str] = {}
    await _arbitrate(session, workspace_id, waiting, document, now, held, skipped)
    for message in waiting:
        if message.id not in held and message.id not in skipped:
            until = judge.quiet_until(message, document, now)
            if until is not None:
                held[message.id] = "quiet_hours", until
    left = [each for each in waiting if each.id not in held and each.id not in skipped]
    await _reserve(session, workspace_id, left, document, now, held, skipped)
    await _hold(session, workspace_id, held, now)
    return await _skip(session, workspace_id, skipped, now)


async def _waiting(session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID]) -> list[Waiting]:
    """Those that policies are about, the first to go first."""
    rows = await session.execute(
        text(
            "SELECT id, journey_id, profile_id, channel_type, contact, zone, tags, priority, "
            "created_at, reserved FROM message WHERE workspace_id = :ws "
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
            medium=MEDIA.get(row.channel_type, row.channel_type),
            contact=row.contact,
            zone=row.zone,
            tags=frozenset(row.tags),
            priority=row.priority,
            created_at=to_ms(row.created_at),
            reserved=bool(row.reserved),
        )
        for row in rows
    ]


async def _arbitrate(
    session: AsyncSession,
    workspace_id: UUID,
    waiting: Sequence[Waiting],
    document: PoliciesDocument,
    now: int,
    held: dict[UUID, tuple[str, int]],
    skipped: dict[UUID, str],
) -> None:
    arbiter = document.arbiter
    if arbiter is None:
        return
    window = 1_000 * arbiter.window_seconds
    asking = []
    for message in waiting:
        if message.reserved:
            continue
        if now < message.created_at + window:
            held[message.id] = "arbiter", message.created_at + window
        else:
            asking.append(message)
    rivals = await _rivals(session, workspace_id, [each.id for each in asking], window, now)
    if not rivals:
        return
    journeys = {each.journey_id for group in rivals.values() for each in group}
    worth = await _worth(session, journeys | {each.journey_id for each in asking})
    for message in asking:
        best = judge.winner(message, rivals[message.id], worth) if message.id in rivals else None
        if best is not None and arbiter.others == "wait":
            held[message.id] = "arbiter", now + window
        elif best is not None:
            skipped[message.id] = f"arbiter: {await _key(session, best.journey_id)}"


async def _rivals(
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


async def _worth(session: AsyncSession, journey_ids: set[UUID]) -> dict[UUID, float]:
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


async def _key(session: AsyncSession, journey_id: UUID) -> str:
    found = await session.scalar(text("SELECT key FROM journey WHERE id = :id"), {"id": journey_id})
    return str(found)


async def _reserve(
    session: AsyncSession,
    workspace_id: UUID,
    waiting: Sequence[Waiting],
    document: PoliciesDocument,
    now: int,
    held: dict[UUID, tuple[str, int]],
    skipped: dict[UUID, str],
) -> None:
    asking = [each for each in waiting if not each.reserved]
    wanted = [key for each in asking for _, key in judge.keys(each, document)]
    uses = await store.lock_uses(session, workspace_id, wanted)
    found = judge.reserve(asking, document, uses, now)
    for message_id, (cap, again) in found.refused.items():
        if cap.over == "wait":
            held[message_id] = f"capped: {cap.name}", again
        else:
            skipped[message_id] = f"capped: {cap.name}"
    oldest = now - 1_000 * LONGEST_SECONDS
    await store.put_uses(
        session,
        workspace_id,
        {
            key: {id: at for id, at in uses[key].items() if at >= oldest}
            for key in sorted(found.changed)
        },
    )
    granted = {id: keys for id, keys in found.granted.items() if keys}
    if granted:
        await session.execute(
            text(
                "UPDATE message m SET reserved = string_to_array(u.keys, E'\\n') "
                "FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[])) AS u (id, keys) "
                "WHERE m.workspace_id = :ws AND m.id = u.id"
            ),
            {
                "ws": workspace_id,
                "ids": list(granted),
                "keys": [
                    "\n".join(f"{cap}:{subject}" for subject, cap in keys)
                    for keys in granted.values()
                ],
            },
        )


async def _hold(
    session: AsyncSession, workspace_id: UUID, held: Mapping[UUID, tuple[str, int]], now: int
) -> None:
    if held:
        await session.execute(
            text(
                "UPDATE message m SET state = 'held', reason = u.reason, run_at = u.until, "
                "fence = m.fence + 1, updated_at = :now FROM unnest(CAST(:ids AS uuid[]), "
                "CAST(:reasons AS text[]), CAST(:times AS timestamptz[])) AS u (id, reason, until) "
                "WHERE m.workspace_id = :ws AND m.id = u.id"
            ),
            {
                "ws": workspace_id,
                "ids": list(held),
                "reasons": [reason for reason, _ in held.values()],
                "times": [from_ms(until) for _, until in held.values()],
                "now": from_ms(now),
            },
        )


async def _skip(
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
