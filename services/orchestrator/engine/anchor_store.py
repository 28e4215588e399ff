"""Entry state of live journeys with an anchor: read, folded and written block by block."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.journeys.enter import AnchorState
from services.orchestrator.times import from_ms, to_ms

AnchorKey = tuple[UUID, UUID, str]
"""Journey, profile, match key."""


async def read(
    session: AsyncSession, workspace_id: UUID, keys: Collection[AnchorKey]
) -> dict[AnchorKey, AnchorState]:
    """The state of each key; a fresh one where nothing was seen yet."""
    states = {key: AnchorState() for key in keys}
    if not keys:
        return states
    rows = await session.execute(
        text(
            """
            SELECT a.journey_id, a.profile_id, a.match_key, a.anchor_at, a.anchor_message_id,
                a.blocked_at
            FROM anchor a JOIN unnest(CAST(:journeys AS uuid[]), CAST(:profiles AS uuid[]),
                CAST(:keys AS text[])) AS u (journey_id, profile_id, match_key)
            USING (journey_id, profile_id, match_key) WHERE a.workspace_id = :ws
            """
        ),
        _keys(workspace_id, list(states)),
    )
    for row in rows:
        states[row.journey_id, row.profile_id, row.match_key] = AnchorState(
            None if row.anchor_at is None else to_ms(row.anchor_at),
            row.anchor_message_id,
            None if row.blocked_at is None else to_ms(row.blocked_at),
        )
    return states


async def write(
    session: AsyncSession, workspace_id: UUID, states: Mapping[AnchorKey, AnchorState]
) -> None:
    if not states:
        return
    found = list(states.values())
    await session.execute(
        text(
            """
            INSERT INTO anchor (workspace_id, journey_id, profile_id, match_key, anchor_at,
                anchor_message_id, blocked_at)
            SELECT :ws, * FROM unnest(CAST(:journeys AS uuid[]), CAST(:profiles AS uuid[]),
                CAST(:keys AS text[]), CAST(:anchors AS timestamptz[]),
                CAST(:messages AS text[]), CAST(:blocked AS timestamptz[]))
            ON CONFLICT (workspace_id, journey_id, profile_id, match_key) DO UPDATE
            SET anchor_at = excluded.anchor_at, anchor_message_id = excluded.anchor_message_id,
                blocked_at = excluded.blocked_at
            """
        ),
        {
            **_keys(workspace_id, list(states)),
            "anchors": [None if s.at is None else from_ms(s.at) for s in found],
            "messages": [s.message_id for s in found],
            "blocked": [None if s.blocked_at is None else from_ms(s.blocked_at) for s in found],
        },
    )


def _keys(workspace_id: UUID, keys: list[AnchorKey]) -> dict[str, object]:
    return {
        "ws": workspace_id,
        "journeys": [key[0] for key in keys],
        "profiles": [key[1] for key in keys],
        "keys": [key[2] for key in keys],
    }
