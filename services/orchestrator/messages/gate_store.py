"""The send gate follows the feed: consents as they were said, and erasure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.contracts.orchestrator import Withdrawal
from services.orchestrator.times import from_ms

ANY = "*"


class Place(NamedTuple):
    """What a line of the gate is about; ``*``: every purpose, channel, contact point."""

    subject: str
    purpose: str = ANY
    channel: str = ANY
    contact_point: str = ANY


_PUT = text(
    """
    INSERT INTO send_gate AS g
        (workspace_id, subject, purpose, channel, contact_point, state, at)
    SELECT :ws, * FROM unnest(CAST(:subjects AS text[]), CAST(:purposes AS text[]),
        CAST(:channels AS text[]), CAST(:contact_points AS text[]), CAST(:states AS text[]),
        CAST(:times AS timestamptz[]))
    ON CONFLICT (workspace_id, subject, purpose, channel, contact_point) DO UPDATE
    SET state = excluded.state, at = excluded.at WHERE excluded.at >= g.at
    """
)


async def apply(session: AsyncSession, workspace_id: UUID, changes: Iterable[Change]) -> None:
    """Write what the block says of consent; of two statements the later in time stands."""
    latest: dict[Place, tuple[int, str]] = {}
    for change in changes:
        if change.type == "consent.changed":
            data = change.data
            # Entries of before consents had levels speak of all of them.
            levels = (data.get("channel", ANY), data.get("contact_point", ANY))
            place, state = Place(change.profile_id, data["purpose"], *levels), data["state"]
        elif change.type == "profile.erased":
            place, state = Place(change.profile_id), "erased"
        else:
            continue
        if place not in latest or change.at >= latest[place][0]:
            latest[place] = (change.at, state)
    await _put(session, workspace_id, latest)


async def close(
    session: AsyncSession, workspace_id: UUID, withdrawals: Iterable[Withdrawal]
) -> None:
    """Bar sends at once; profile's feed says the same later."""
    lines = {
        Place(str(w.profile_id), w.purpose, w.channel, w.contact_point): (w.at, "withdrawn")
        for w in withdrawals
    }
    await _put(session, workspace_id, lines)


async def unsent(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[UUID]
) -> Sequence[UUID]:
    """Messages to these people that nobody has handed to a provider yet."""
    rows = await session.scalars(
        text(
            "SELECT id FROM message WHERE workspace_id = :ws "
            "AND profile_id = ANY(CAST(:people AS uuid[])) "
            "AND state IN ('queued', 'held', 'claimed')"
        ),
        {"ws": workspace_id, "people": list(profile_ids)},
    )
    return rows.all()


async def recall(session: AsyncSession, workspace_id: UUID, message_id: UUID) -> None:
    """Take a message back from the sender that may have claimed it before the gate closed: its
    lease is void, and whoever claims it next reads the gate as it is now.

    Also of one that looks unclaimed: a sender may be claiming it, and is waited for.
    """
    await session.execute(
        text(
            """
            UPDATE message SET fence = fence + 1,
                attempts = attempts - CASE state WHEN 'claimed' THEN 1 ELSE 0 END,
                run_at = CASE state WHEN 'claimed' THEN updated_at ELSE run_at END,
                state = CASE state WHEN 'claimed' THEN 'queued' ELSE state END
            WHERE workspace_id = :ws AND id = :id AND state IN ('queued', 'held', 'claimed')
            """
        ),
        {"ws": workspace_id, "id": message_id},
    )


async def _put(
    session: AsyncSession, workspace_id: UUID, lines: Mapping[Place, tuple[int, str]]
) -> None:
    if lines:
        await session.execute(
            _PUT,
            {
                "ws": workspace_id,
                "subjects": [place.subject for place in lines],
                "purposes": [place.purpose for place in lines],
                "channels": [place.channel for place in lines],
                "contact_points": [place.contact_point for place in lines],
                "states": [state for _, state in lines.values()],
                "times": [from_ms(at) for at, _ in lines.values()],
            },
        )


async def merge(session: AsyncSession, workspace_id: UUID, heirs: dict[UUID, UUID]) -> None:
    """The winner takes over what only the loser said, or said later."""
    await session.execute(
        text(
            """
            INSERT INTO send_gate AS g
                (workspace_id, subject, purpose, channel, contact_point, state, at)
            SELECT DISTINCT ON (u.heir, l.purpose, l.channel, l.contact_point)
                :ws, u.heir, l.purpose, l.channel, l.contact_point, l.state, l.at
            FROM send_gate l
            JOIN unnest(CAST(:merged AS text[]), CAST(:heirs AS text[])) AS u (merged, heir)
                ON l.subject = u.merged
            WHERE l.workspace_id = :ws AND l.state <> 'erased'
            ORDER BY u.heir, l.purpose, l.channel, l.contact_point, l.at DESC
            ON CONFLICT (workspace_id, subject, purpose, channel, contact_point) DO UPDATE
            SET state = excluded.state, at = excluded.at WHERE excluded.at > g.at
            """
        ),
        {
            "ws": workspace_id,
            "merged": [str(merged) for merged in heirs],
            "heirs": [str(heir) for heir in heirs.values()],
        },
    )


async def forget(session: AsyncSession, workspace_id: UUID, profile_ids: Sequence[UUID]) -> None:
    """Consents of profiles that are told anew; suppression and erasure stay."""
    await session.execute(
        text(
            """
            DELETE FROM send_gate
            WHERE workspace_id = :ws AND subject = ANY(CAST(:subjects AS text[]))
                AND state IN ('granted', 'pending', 'withdrawn')
            """
        ),
        {"ws": workspace_id, "subjects": [str(each) for each in profile_ids]},
    )
