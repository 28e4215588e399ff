"""The send gate follows the feed: consent per person and purpose, erasure."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.orchestrator.times import from_ms

ANY_PURPOSE = "*"


async def apply(session: AsyncSession, workspace_id: UUID, changes: Iterable[Change]) -> None:
    """Write what the block says of consent; of two statements the later in time stands."""
    latest: dict[tuple[str, str], tuple[int, str]] = {}
    for change in changes:
        if change.type == "consent.changed":
            key, state = (change.profile_id, change.data["purpose"]), change.data["state"]
        elif change.type == "profile.erased":
            key, state = (change.profile_id, ANY_PURPOSE), "erased"
        else:
            continue
        if key not in latest or change.at >= latest[key][0]:
            latest[key] = (change.at, state)
    if not latest:
        return
    await session.execute(
        text(
            """
            INSERT INTO send_gate AS g (workspace_id, subject, purpose, state, at)
            SELECT :ws, * FROM unnest(CAST(:subjects AS text[]), CAST(:purposes AS text[]),
                CAST(:states AS text[]), CAST(:times AS timestamptz[]))
            ON CONFLICT (workspace_id, subject, purpose) DO UPDATE
            SET state = excluded.state, at = excluded.at WHERE excluded.at >= g.at
            """
        ),
        {
            "ws": workspace_id,
            "subjects": [subject for subject, _ in latest],
            "purposes": [purpose for _, purpose in latest],
            "states": [state for _, state in latest.values()],
            "times": [from_ms(at) for at, _ in latest.values()],
        },
    )


async def merge(session: AsyncSession, workspace_id: UUID, heirs: dict[UUID, UUID]) -> None:
    """The winner takes over what only the loser said, or said later."""
    await session.execute(
        text(
            """
            INSERT INTO send_gate AS g (workspace_id, subject, purpose, state, at)
            SELECT DISTINCT ON (u.heir, l.purpose) :ws, u.heir, l.purpose, l.state, l.at
            FROM send_gate l
            JOIN unnest(CAST(:merged AS text[]), CAST(:heirs AS text[])) AS u (merged, heir)
                ON l.subject = u.merged
            WHERE l.workspace_id = :ws AND l.state <> 'erased'
            ORDER BY u.heir, l.purpose, l.at DESC
            ON CONFLICT (workspace_id, subject, purpose) DO UPDATE
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
                AND state IN ('granted', 'withdrawn')
            """
        ),
        {"ws": workspace_id, "subjects": [str(each) for each in profile_ids]},
    )
